import { useRef, useState } from "preact/hooks";
import { topicOf } from "../../core/topic.js";
import type { PostResult } from "../broadcast.js";
import { Refusal } from "./api.js";
import type { Board } from "./board.js";
import { counted } from "./words.js";

interface Outcome {
  readonly tone: "good" | "warn" | "bad";
  readonly text: string;
}

export function PostBox({ board, topic }: { readonly board: Board; readonly topic: string | undefined }) {
  const [raw, setRaw] = useState("");
  const [named, setNamed] = useState<string | undefined>(undefined);
  const [outcome, setOutcome] = useState<Outcome>();
  const [isPosting, setPosting] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const under = (named ?? topic ?? "").trim();

  const post = async (event: Event) => {
    event.preventDefault();
    if (raw.trim() === "" || isPosting) return;
    if (under !== "" && topicOf(`${under}/x`) !== under) {
      setOutcome({
        tone: "bad",
        text: "A topic is a name, or several with / between them, such as alerts/disk.",
      });
      return;
    }
    setPosting(true);
    setOutcome(undefined);
    try {
      const result = await board.api.post(under === "" ? { raw } : { id: `${under}/${newId()}`, raw });
      setOutcome(outcomeOf(result));
      setRaw("");
    } catch (error) {
      setOutcome({ tone: "bad", text: faultOf(error) });
    }
    setPosting(false);
  };
  const isFilled = raw !== "";
  return (
    <form class={`post${isFilled ? " filled" : ""}`} ref={form} onSubmit={post} aria-label="Post">
      <label class="spoken" for="raw">
        Text to post
      </label>
      <textarea
        id="raw"
        rows={isFilled ? Math.min(12, Math.max(3, raw.split("\n").length + 1)) : 1}
        placeholder="Tell every node…"
        value={raw}
        dir="auto"
        onInput={(event) => setRaw(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.current?.requestSubmit();
        }}
      />
      <div class="post-line">
        <label for="topic">
          Topic
          <input
            id="topic"
            list="topics"
            value={named ?? topic ?? ""}
            placeholder="none"
            autocomplete="off"
            spellcheck={false}
            maxLength={200}
            onInput={(event) => setNamed(event.currentTarget.value)}
          />
        </label>
        <datalist id="topics">
          {board.feed.topics.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
        <button type="submit" class="main" disabled={raw.trim() === "" || isPosting} title="Ctrl+Enter">
          {isPosting ? "Posting…" : "Post"}
        </button>
      </div>
      <p class={`outcome ${outcome?.tone ?? ""}`} role="status">
        {outcome?.text}
      </p>
    </form>
  );
}

function outcomeOf({ receipt, digest, visible }: PostResult): Outcome {
  if (visible !== digest)
    return {
      tone: "warn",
      text: "Accepted, but hidden behind an item of the same id that was posted first.",
    };
  if (!receipt || receipt.alone)
    return { tone: "warn", text: "Accepted. This node alone has it: there is no other." };
  const { holders, of, missing, refused } = receipt;
  const slowestMs = Math.max(0, ...holders.map(({ afterMs }) => afterMs));
  if (receipt.complete)
    return { tone: "good", text: `Held by all ${of + 1} nodes after ${Math.ceil(slowestMs)} ms.` };
  const names = [...missing, ...refused].slice(0, 5).map(({ name }) => name);
  const what = refused.length > 0 && missing.length === 0 ? "refused by" : "not yet by";
  return {
    tone: "warn",
    text: `Held by ${holders.length + 1} of ${counted(of + 1, "node")}; ${what} ${names.join(", ")}.`,
  };
}

function faultOf(error: unknown): string {
  if (error instanceof Refusal) return [`Not posted: ${error.message}.`, ...error.suggestions].join(" ");
  return "Not posted: the node does not answer. The text is still here.";
}

/** As UUID version 7: ids that sort by time. crypto.randomUUID is missing where a page does not come by HTTPS. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const time = Date.now().toString(16).padStart(12, "0");
  const variant = "89ab"[bytes[2]! & 3];
  return `${time.slice(0, 8)}-${time.slice(8)}-7${digits.slice(0, 3)}-${variant}${digits.slice(5, 8)}-${digits.slice(8, 20)}`;
}
