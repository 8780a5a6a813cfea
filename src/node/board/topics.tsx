import { isWithin } from "../../core/topic.js";
import { linkTo } from "./place.js";
import { visible } from "./words.js";

interface TopicsProps {
  readonly topics: readonly string[];
  readonly chosen: string | undefined;
}

/** Topics of the items that were seen, as filters: the first segments, and what is beside and below the chosen one. */
export function Topics({ topics, chosen }: TopicsProps) {
  const shown = namesBeside(topics, chosen);
  if (shown.length === 0) return null;
  return (
    <nav class="topics" aria-label="Topics">
      <a href={linkTo({})} aria-current={chosen === undefined ? "true" : undefined}>
        all
      </a>
      {shown.map((topic) => (
        <a key={topic} href={linkTo({ topic })} aria-current={topic === chosen ? "true" : undefined}>
          <bdi>{visible(topic)}</bdi>
        </a>
      ))}
    </nav>
  );
}

function namesBeside(topics: readonly string[], chosen: string | undefined): readonly string[] {
  const names = new Set<string>();
  for (const topic of chosen === undefined ? topics : [...topics, chosen]) {
    for (let end = topic.indexOf("/"); ; end = topic.indexOf("/", end + 1)) {
      const name = end < 0 ? topic : topic.slice(0, end);
      const above = name.slice(0, Math.max(0, name.lastIndexOf("/")));
      if (above === "" || (chosen !== undefined && isWithin(chosen, above))) names.add(name);
      if (end < 0) break;
    }
  }
  return [...names].sort();
}
