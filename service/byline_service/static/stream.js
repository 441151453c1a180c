// Answers as streams of events: progress, then the answer or the problem.
import { answered, failed } from "./api.js";

export async function postStreaming(path, body, signal, onProgress) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok || !response.headers.get("content-type")?.startsWith("text/event-stream")) return answered(response);
  for await (const { name, data } of events(response.body)) {
    if (name === "progress") onProgress(JSON.parse(data));
    if (name === "answer") return JSON.parse(data);
    if (name === "problem") throw failed(response, JSON.parse(data));
  }
  throw new Error("The service stopped before the answer was ready. Send the query again.");
}

// Server-sent events: blocks of lines, separated by an empty line.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    yield* blocks.filter((block) => !block.startsWith(":")).map(parsed);
  }
}

function parsed(block) {
  const lines = block.split("\n");
  const of = (field) => lines.filter((line) => line.startsWith(`${field}: `)).map((line) => line.slice(field.length + 2)).join("\n");
  return { name: of("event"), data: of("data") };
}

const STAGES = {
  queue: "Waiting in the queue",
  predict: "Predicting",
  gradient: "Computing the query\u2019s gradient",
  solve: "Solving",
  transform: "Projecting",
  search: "Searching",
  drill: "Scoring the group\u2019s points",
  join: "Looking up the examples",
  tokens: "Taking the scores apart",
  noise: "Taking the scores apart by timestep",
};

export function progressText({ stage, ahead, done, total, seconds_left: left }, whole) {
  const what = STAGES[stage] ?? stage;
  const queue = stage === "queue" && ahead > 0 ? `, ${whole.format(ahead)} ahead` : "";
  const steps = total > 0 ? `, ${whole.format(done)} of ${whole.format(total)}` : "";
  const time = left !== null && left >= 1 ? `, about ${whole.format(Math.ceil(left))} s left` : "";
  return `${what}${queue}${steps}${time} …`;
}
