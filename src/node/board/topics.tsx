import { linkTo } from "./place.js";
import { visible } from "./words.js";

interface TopicsProps {
  readonly topics: readonly string[];
  readonly chosen: string | undefined;
}

/** Topics of the items that were seen, as filters. */
export function Topics({ topics, chosen }: TopicsProps) {
  const shown = chosen === undefined || topics.includes(chosen) ? topics : [chosen, ...topics];
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
