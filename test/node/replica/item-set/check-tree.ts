import { expect } from "vitest";
import { type Bound, compareBounds } from "../../../../src/node/replica/item-set/bound.js";
import type { ItemSet } from "../../../../src/node/replica/item-set/item-set.js";
import { add, addDigest, type Sum, zeroSum } from "../../../../src/node/replica/item-set/sum.js";
import {
  BRANCH_CHILDREN_MAX,
  Branch,
  LEAF_ITEMS_MAX,
  Leaf,
  type TreeNode,
} from "../../../../src/node/replica/item-set/tree.js";

/** Fails unless every node's count, sum, depth and fill are what the tree promises. */
export function checkTree(set: ItemSet): void {
  checkNode((set as unknown as { root: TreeNode }).root);
}

/** How full the leaves are: 0..1. */
export function leafFill(set: ItemSet): number {
  const leavesOf = (node: TreeNode): number =>
    node instanceof Leaf ? 1 : node.children.reduce((leaves, child) => leaves + leavesOf(child), 0);
  return set.size / leavesOf((set as unknown as { root: TreeNode }).root) / LEAF_ITEMS_MAX;
}

function checkNode(node: TreeNode): { count: number; sum: Sum; depth: number } {
  const sum = zeroSum();
  if (node instanceof Leaf) {
    expect(node.count).toBeLessThanOrEqual(LEAF_ITEMS_MAX);
    for (const item of node.items) addDigest(sum, item);
    expect(node.sum).toEqual(sum);
    return { count: node.count, sum, depth: 0 };
  }

  expect(node.children.length).toBeGreaterThan(0);
  expect(node.children.length).toBeLessThanOrEqual(BRANCH_CHILDREN_MAX);
  const children = node.children.map(checkNode);
  for (const child of children) add(sum, child.sum);
  expect(node.count).toBe(children.reduce((count, child) => count + child.count, 0));
  expect(node.sum).toEqual(sum);
  expect(new Set(children.map((child) => child.depth)).size).toBe(1);
  const { lows } = node as unknown as { lows: Bound[] };
  for (const [index, child] of node.children.entries()) {
    // Between its separator and the next one: otherwise a search would go past it.
    if (index > 0) {
      expect(compareBounds(lows[index]!, child.at(0))).toBeLessThanOrEqual(0);
      expect(
        compareBounds(node.children[index - 1]!.at(node.children[index - 1]!.count - 1), lows[index]!),
      ).toBe(-1);
    }
    const next = node.children[index + 1];
    if (next) expect(fill(child) + fill(next)).toBeGreaterThan(0.5);
  }
  return { count: node.count, sum, depth: children[0]!.depth + 1 };
}

function fill(node: TreeNode): number {
  return node instanceof Branch ? node.children.length / BRANCH_CHILDREN_MAX : node.count / LEAF_ITEMS_MAX;
}
