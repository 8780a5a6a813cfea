/**
 * The candidate that a misspelt word most likely stands for.
 * @returns undefined when none is near: more than a third of the letters would have to change
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestEdits = Math.floor(word.length / 3) + 1;
  for (const candidate of candidates) {
    const edits = candidate.startsWith(word) ? 0 : edited(word, candidate);
    if (edits < bestEdits) [best, bestEdits] = [candidate, edits];
  }
  return best;
}

/** How many letters must be added, dropped, replaced or swapped with their neighbour (optimal string alignment). */
function edited(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= a.length; row++) {
    const above = rows[row - 1]!;
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let edits = Math.min(above[column]! + 1, current[column - 1]! + 1, above[column - 1]! + (same ? 0 : 1));
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        edits = Math.min(edits, rows[row - 2]![column - 2]! + 1);
      }
      current.push(edits);
    }
    rows.push(current);
  }
  return rows[a.length]![b.length]!;
}
