import { expect, test } from "vitest";
import { HubcastError } from "../../../src/core/errors.js";
import { TestApi } from "../../fixtures/http-call.js";

const X = "9dd4e461268c8034f5c8564e155c67a6";
const Y = "415290769594460e2e485922904f345d";
const item = (id: unknown, raw: unknown, signature: unknown) => JSON.stringify({ id, raw, signature });

test("an item is taken, and listed by both methods", async () => {
  await using api = await TestApi.open();
  const answer = await api.post("/postNewData", item("a", "x", X));
  expect([answer.status, answer.json]).toEqual([200, { result: true, msg: "ok" }]);
  const list = { data_list: [{ id: "a", raw: "x", signature: X }] };
  expect((await api.get("/listAllRecentData")).json).toEqual(list);
  expect((await api.call("POST", "/listAllRecentData")).json).toEqual(list);
  expect((await api.post("/listAllRecentData", "anything", {})).json).toEqual(list);
});

test("an empty node lists nothing", async () => {
  await using api = await TestApi.open();
  expect((await api.get("/listAllRecentData")).text).toBe('{"data_list":[]}');
});

test("a signature in capitals is accepted", async () => {
  await using api = await TestApi.open();
  expect((await api.post("/postNewData", item("a", "x", X.toUpperCase()))).json.msg).toBe("ok");
});

test.each([
  ["a wrong signature", item("b", "x", Y), "Invalid data"],
  ["no signature", item("b", "x", undefined), "Invalid data"],
  ["an empty id", item("", "x", X), "Invalid data"],
  ["an empty raw", item("b", "", "d41d8cd98f00b204e9800998ecf8427e"), "Invalid data"],
  ["a number for id", item(5, "x", X), "Invalid data"],
  ["another raw under a held id", item("held", "y", Y), "Different raw data with same id"],
  ["a held item", item("held", "x", X), "Data exists"],
  ["broken JSON", '{"id":', "Error parsing data"],
  ["no body", "", "Error parsing data"],
  ["an array", "[]", "Error parsing data"],
  ["invalid UTF-8", Buffer.from('{"id":"\xff"}', "latin1"), "Error parsing data"],
])("%s is refused with status 200 and the words of the seed", async (_name, body, msg) => {
  await using api = await TestApi.open();
  await api.post("/postNewData", item("held", "x", X));
  const answer = await api.post("/postNewData", body);
  expect([answer.status, answer.json]).toEqual([200, { result: false, msg }]);
});

test.each([
  undefined,
  "application/x-www-form-urlencoded",
  "text/plain",
  "application/xml",
  "garbage",
  "a/b/c;;",
])("the content type %s is read as JSON", async (type) => {
  await using api = await TestApi.open();
  const answer = await api.post(
    "/postNewData",
    item("a", "x", X),
    type === undefined ? {} : { "content-type": type },
  );
  expect(answer.json).toEqual({ result: true, msg: "ok" });
});

test("what the seed has no word for is a problem", async () => {
  await using api = await TestApi.open();
  api.node.failure = new HubcastError("nodeFull", "full");
  const answer = await api.post("/postNewData", item("a", "x", X));
  expect([answer.status, answer.json.code]).toEqual([507, "nodeFull"]);
});
