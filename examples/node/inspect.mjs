// Inspects images without Sihwa; docs/inspector-format.md explains every step.
// onnxruntime-node shows no metadata, so the card is read from card.json beside the .onnx file.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import * as ort from "onnxruntime-node";

async function load(path) {
  const graph = await readFile(path);
  const beside = join(dirname(path), "card.json");
  const card = JSON.parse(await readFile(beside, "utf8").catch(() => {
    throw new Error(`${beside}: not found; copy the whole inspector folder, not the .onnx alone`);
  }));
  const found = `${card.format} ${card.format_version}`;
  if (found !== "sihwa-inspector 3" || !["top_class", "thresholds"].includes(card.policy.kind))
    throw new Error(`${beside}: expected sihwa-inspector 3 and a known policy, found ${found}`);
  const sha256 = createHash("sha256").update(graph).digest("hex");
  if (sha256 !== card.files?.[basename(path)]?.sha256)
    throw new Error(`${path}: not the file that card.json was written for; copy both again`);
  // ONNX Runtime reads a file that starts like this in another format, whatever its name
  if (graph.toString("latin1", 4, 8) === "ORTM") throw new Error(`${path}: not an ONNX file`);
  return [await ort.InferenceSession.create(graph, { executionProviders: ["cpu"] }), card];
}

// Returns height, width and RGB bytes; grey is repeated in all three channels.
function decode(content) {
  const gap = "(?:\\s|#[^\\n]*\\n)+";
  const header = new RegExp(`^P([56])${gap}(\\d+)${gap}(\\d+)${gap}255\\s`);
  const found = header.exec(content.toString("latin1", 0, 4096));
  if (!found) throw new Error("expected a binary PPM or PGM image of 8 bits (P6 or P5, 255)");
  const [kind, width, height] = found.slice(1).map(Number);
  const pixels = content.subarray(found[0].length);
  const count = width * height;
  if (count === 0 || count > 1e8) throw new Error("expected 1 to 100,000,000 pixels");
  const length = kind === 6 ? 3 * count : count;
  if (pixels.length < length) throw new Error(`expected ${length} bytes of pixels`);
  const rgb = new Uint8Array(3 * count);
  for (let i = 0; i < rgb.length; i++) rgb[i] = pixels[kind === 6 ? i : Math.trunc(i / 3)];
  return { height, width, rgb };
}

// Returns [x0, y0, x1, y1] around the cells joined to the peak that reach half of it, or null.
function boxOf(map, rows, columns, height, width) {
  const peak = map.indexOf(map.reduce((a, b) => Math.max(a, b)));
  if (!(map[peak] > 0)) return null;
  const found = new Set();
  const waiting = [[Math.trunc(peak / columns), peak % columns]];
  while (waiting.length > 0) {
    const [y, x] = waiting.pop();
    const cell = y * columns + x;
    const inside = y >= 0 && y < rows && x >= 0 && x < columns && !found.has(cell);
    if (!inside || map[cell] < map[peak] / 2) continue;
    found.add(cell);
    waiting.push([y - 1, x], [y + 1, x], [y, x - 1], [y, x + 1]);
  }
  const ys = [...found].map((cell) => Math.trunc(cell / columns));
  const xs = [...found].map((cell) => cell % columns);
  const low = (at, side, cells) => Math.floor((Math.min(...at) * side) / cells);
  const high = (at, side, cells) => Math.ceil(((Math.max(...at) + 1) * side) / cells);
  return [low(xs, width, columns), low(ys, height, rows),
    high(xs, width, columns), high(ys, height, rows)];
}

// Returns decision and reason of an image that is like the training images.
function decide(card, topClass, probability) {
  const { policy, classes, accept_classes: accepted } = card;
  if (policy.kind === "top_class") {
    if (Math.max(...probability) < (policy.least_probability ?? 0))
      return ["review", `its probability is too low; top class is ${topClass}`];
    return [accepted.includes(topClass) ? "accept" : "reject", `top class is ${topClass}`];
  }
  const defect = probability.reduce((sum, p, k) => accepted.includes(classes[k]) ? sum : sum + p, 0);
  let [decision, what] = ["review", "between the thresholds"];
  if (defect <= policy.accept_at_most) [decision, what] = ["accept", "low"];
  else if (defect >= policy.reject_at_least) [decision, what] = ["reject", "high"];
  return [decision, `P(defect) is ${what}; top class is ${topClass}`];
}

async function inspect(session, card, path) {
  const decoded = await readFile(path).then(decode).catch((error) => error);
  if (decoded instanceof Error)
    return { decision: "review", reason: "unreadable", error: decoded.message };
  const { height, width, rgb } = decoded;
  const image = new ort.Tensor("uint8", rgb, [1, height, width, 3]);
  const output = await session.run({ image }, ["probability", "evidence", "unknown"]);
  const probability = Array.from(output.probability.data);
  const unknown = output.unknown.data[0];
  if (![...probability, unknown].every(Number.isFinite))
    return { decision: "review", reason: "the network gave NaN or inf" };
  const top = probability.indexOf(Math.max(...probability));
  const name = card.classes[top];
  const threshold = card.policy.unknown_threshold;
  const strange = threshold !== null && unknown > threshold;
  const [decision, reason] = rgb.every((value, place) => value === rgb[place % 3])
    ? ["review", "all pixels are the same"]
    : strange ? ["review", `unlike the training images; nearest is ${name}`]
    : decide(card, name, probability);
  const [rows, columns] = output.evidence.dims.slice(2);
  const map = output.evidence.data.subarray(top * rows * columns, (top + 1) * rows * columns);
  const box = boxOf(map, rows, columns, height, width);
  return { decision, reason, top_class: name, probability, unknown, box };
}

const [path, ...images] = process.argv.slice(2);
if (path === undefined) {
  console.error("usage: node inspect.mjs INSPECTOR.onnx IMAGE.ppm [IMAGE.ppm ...]");
  process.exit(1);
}
const loaded = await load(path).catch((error) => {
  console.error(error.message.replace(/\s+/g, " "));
  process.exit(1);
});
for (const image of images)
  console.log(JSON.stringify({ image, ...(await inspect(...loaded, image)) }));
