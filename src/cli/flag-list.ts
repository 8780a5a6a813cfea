/** A flag that may be given again is a list; its variable holds one text, with commas. */
export function flagList(values: string[] | string | undefined): readonly string[] | undefined {
  if (values === undefined) return undefined;
  if (Array.isArray(values)) return values;
  return values.split(",").map((value) => value.trim());
}
