// The page of a recorded answer: the same view as that of a new one.
import { answerView } from "./answer.js";
import { get, indexPath } from "./api.js";
import { exportView } from "./exports.js";
import { imageForm } from "./images.js";

const at = (id) => document.getElementById(id);
const said = (text) => (at("status").textContent = text);
const LONGEST_LINK = 6000;

async function start() {
  const { answer, question, index } = await get(`/v1/answers/${at("answer").dataset.answer}`);
  const served = await get(indexPath(index)).catch(() => null); // an index that is gone: its image cannot be drawn
  at("answer").replaceChildren(...answerView(answer, question.query ?? null, imageForm(served?.query_schema), null));
  at("exports").replaceChildren(exportView(answer, question.query ? question : null, said));
  const again = `/?${new URLSearchParams({ index, query: JSON.stringify(question.query) })}`;
  if (!question.query || again.length > LONGEST_LINK) return;
  at("again").href = again;
  at("again").hidden = false;
}

start().catch((error) => said(error.message));
