// Booking an answer as an event, with the target that the policy of its index pays for.
import { get, indexPath, send } from "./api.js";
import { confirmed } from "./confirm.js";

// An answer is payable if it is of the query's own draws, and if its shares cover all rows and have standard errors.
function payable(found) {
  return found.shares && found.replicates === null && found.standard_error_scope !== null && found.shares.coverage.complete;
}

// current() tells whether the answer is still on the page.
export async function offerBooking({ button, found, query, said, current }) {
  if (!button || !payable(found)) return;
  const policies = await policiesOf(found.index);
  if (!current()) return;
  const target = targetOf(policies, found.target);
  const paid = policies.map((each) => each.name).join(" and ");
  const another = target === found.target ? "" : ` The policy pays for the target ${target}, and this answer is of ${found.target}: the event is of ${target}.`;
  const words = {
    title: "Book this answer?",
    text: `The scores of all owners are stored as an event. ${paid ? `The next statement run of ${paid} divides its pool over it.` : "No policy covers this index yet."}${another}`,
    done: target === found.target ? "Book" : `Book with the target ${target}`,
  };
  button.hidden = false;
  button.onclick = () =>
    confirmed(words, async (key) => {
      const event = await send("POST", indexPath(found.index, "/events"), { query, target }, { "Idempotency-Key": key });
      button.hidden = true;
      said(`Booked as event ${event.id}.`);
    });
}

async function policiesOf(index) {
  try {
    const listed = await get("/v1/policies");
    return (listed.data ?? listed.policies).map((each) => each.policy ?? each).filter((each) => each.indexes.length === 0 || each.indexes.includes(index));
  } catch {
    return []; // the service checks the event again
  }
}

// The answer's target if a policy pays for it, otherwise the first that one pays for.
function targetOf(policies, own) {
  if (policies.length === 0 || policies.some(({ targets }) => targets.length === 0 || targets.includes(own))) return own;
  return policies[0].targets[0];
}
