/** What the user has chosen to see. */
export interface Screen {
  readonly view: View;
  /** Key of the row that is marked, by view; the first row when it is absent or gone. */
  readonly marked: Readonly<Partial<Record<View, string>>>;
  /** Key of the row that is shown in full. */
  readonly opened?: string | undefined;
  readonly filter: string;
  /** Index of the column that rows are sorted by, and whether backwards. */
  readonly sorts: Readonly<Record<View, { readonly column: number; readonly reversed: boolean }>>;
  /** The snapshot stays as it is. */
  readonly paused: boolean;
  readonly help: boolean;
  /** What is being typed. */
  readonly typing?: { readonly into: "filter" | "post"; readonly text: string } | undefined;
  /** Outcome of the last post. */
  readonly notice?: { readonly tone: "good" | "bad"; readonly text: string } | undefined;
}

export const VIEWS = ["cluster", "items", "hubs", "events"] as const;
export type View = (typeof VIEWS)[number];

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export function firstScreen(view: View = "cluster"): Screen {
  const sort = { column: 0, reversed: false };
  return {
    view,
    marked: {},
    filter: "",
    sorts: { cluster: sort, items: sort, hubs: sort, events: sort },
    paused: false,
    help: false,
  };
}
