// Every operation by AWS's SDK for JavaScript, of which `table.py` says what the tables mean.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const given = JSON.parse(process.env.EVERY_OPERATION);
const require = createRequire(process.env.STRONGROOM_TEST_NODE + "/");
const MODULES = {
  secretsmanager: ["@aws-sdk/client-secrets-manager", "SecretsManagerClient"],
  kms: ["@aws-sdk/client-kms", "KMSClient"],
  ssm: ["@aws-sdk/client-ssm", "SSMClient"],
  sts: ["@aws-sdk/client-sts", "STSClient"],
};

const UNKNOWN = "unknown to the client";

function fail(what) {
  console.error(what);
  process.exit(1);
}

const textOf = (template, kept) => template.replace(/\$\{(\w+)\}/g, (_, name) => kept[name]);

function filled(value, kept) {
  if (typeof value === "string") return textOf(value, kept);
  if (Array.isArray(value)) return value.map((one) => filled(one, kept));
  if (value === null || typeof value !== "object") return value;
  if ("$utf8" in value) return new TextEncoder().encode(value.$utf8);
  if ("$blob" in value) return kept[value.$blob];
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, filled(one, kept)]));
}

const at = (answer, path) => path.split(".").reduce((value, part) => value[part], answer);

const isTree = (value) => value !== null && typeof value === "object";
const isLeaf = (value) => !isTree(value) || value instanceof Date || value instanceof Uint8Array;

function shape(answer, before = "", members = new Set()) {
  if (Array.isArray(answer)) {
    answer.forEach((one) => shape(one, before + "[]", members));
  } else if (!isLeaf(answer)) {
    for (const [name, value] of Object.entries(answer)) {
      if (value === undefined) continue;
      const own = before + "." + (/^[A-Z]\w*$/.test(name) ? name : "*");
      members.add(own);
      shape(value, own, members);
    }
  }
  return members;
}

const comparable = (value) =>
  JSON.stringify(value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value);

for (const service of Object.keys(given.operations)) {
  const [name, clientName] = MODULES[service];
  const sdk = require(name);
  const client = new sdk[clientName]({ maxAttempts: 1 });
  const kept = { ...given.kept, run: "node" };
  const steps = JSON.parse(readFileSync(new URL(`./${service}.json`, import.meta.url)));
  for (const [number, step] of steps.entries()) {
    const where = `node: ${service} ${number} ${step.operation}`;
    let answer = {};
    let failed = null;
    // What it knows of members cannot be asked.
    if (step.newer) {
      console.log(JSON.stringify({ service, operation: step.operation, failed: UNKNOWN, members: [] }));
      continue;
    }
    try {
      const command = new sdk[step.operation + "Command"](filled(step.with, kept));
      ({ $metadata: {}, ...answer } = await client.send(command));
    } catch (error) {
      if (error.$metadata?.httpStatusCode === undefined) fail(`${where}: ${error.stack}`);
      // The code on the wire, where the SDK has a longer name for it.
      failed = error.Error?.Code ?? error.name;
    }
    if (failed !== (step.fails ?? null)) {
      fail(`${where}: expected ${step.fails}, saw ${failed}: ${JSON.stringify(answer)}`);
    }
    for (const [path, expected] of Object.entries(step.is ?? {})) {
      const seen = comparable(at(answer, textOf(path, kept)));
      const wanted = comparable(filled(expected, kept));
      if (seen !== wanted) fail(`${where}: ${path}: expected ${wanted}, saw ${seen}`);
    }
    for (const [name, path] of Object.entries(step.keep ?? {})) kept[name] = at(answer, path);
    const members = [...shape(answer)].sort();
    console.log(JSON.stringify({ service, operation: step.operation, failed, members }));
  }
  client.destroy();
}
console.log("done");
