import { useEffect, useState } from "preact/hooks";
import { topicOf } from "../../core/topic.js";

/** The fragment of the address holds the topic and the open item: both survive a reload, and a link can carry them. */
export interface Place {
  readonly topic: string | undefined;
  readonly item: string | undefined;
}

export function usePlace(): Place {
  const [place, setPlace] = useState(readPlace);
  useEffect(() => {
    const read = () => setPlace(readPlace());
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);
  return place;
}

export function linkTo(place: Partial<Place>): string {
  const named = Object.entries(place).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return `#${new URLSearchParams(named)}`;
}

function readPlace(): Place {
  const named = new URLSearchParams(location.hash.slice(1));
  const topic = named.get("topic") ?? "";
  return { topic: topicOf(`${topic}/x`) === topic ? topic : undefined, item: named.get("item") ?? undefined };
}
