import { readdirSync, readFileSync } from "node:fs";

/** The limit of open files of this process and the number open; undefined where the system does not say. Linux. */
export function openFiles(): { readonly max: number; readonly open: number } | undefined {
  try {
    const max = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return max === undefined ? undefined : { max: Number(max), open: readdirSync("/proc/self/fd").length };
  } catch {
    return undefined;
  }
}

/**
 * How many connections a server may take so that the limit of open files cuts none.
 * @param wanted the count where the limit allows it
 * @param reserved files that this process opens beside them from now on
 * @returns at least 1
 */
export function connectionsThatFit(
  wanted: number,
  reserved: number,
): { readonly count: number; readonly openFilesMax?: number } {
  const files = openFiles();
  if (files === undefined) return { count: wanted };
  return { count: Math.min(wanted, Math.max(1, files.max - files.open - reserved)), openFilesMax: files.max };
}
