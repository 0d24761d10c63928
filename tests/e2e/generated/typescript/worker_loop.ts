// The worker's loop with the types that openapi-typescript generates as `api.d.ts`, over openapi-fetch.
//
//     node worker_loop.js <api address> <access token> <batch id> <answer>
//
// Leases pages of the batch and answers them until there are none; prints what was earned.
import createClient from "openapi-fetch";
import type { paths } from "./api";

const [address, token, batchId, answer] = process.argv.slice(2) as [string, string, string, string];
const client = createClient<paths>({ baseUrl: address, headers: { authorization: `Bearer ${token}` } });
const POLLS = 600;

function told<T>(answered: { data?: T; error?: unknown }): T {
  if (answered.data === undefined) throw new Error(JSON.stringify(answered.error));
  return answered.data;
}

const offered = told(await client.GET("/v1/worker/batches"));
if (!offered.batches.some((batch) => batch.batch_id === batchId)) throw new Error("the batch is not offered");

const pages: string[] = [];
for (;;) {
  const lease = told(
    await client.POST("/v1/worker/pages", {
      params: { header: { "Idempotency-Key": crypto.randomUUID() } },
      body: { batch_id: batchId },
    }),
  );
  if (lease.page === null) break;
  const { page_id, assignments } = lease.page;
  told(
    await client.POST("/v1/worker/pages/{page_id}/submission", {
      params: { path: { page_id } },
      body: { answers: assignments.map((one) => ({ task_id: one.task_id, answer })) },
    }),
  );
  pages.push(page_id);
}

for (const page_id of pages) {
  for (let poll = 0; ; poll++) {
    const submission = told(
      await client.GET("/v1/worker/pages/{page_id}/submission", { params: { path: { page_id } } }),
    );
    if (submission.state === "decided") {
      if (submission.assignments.some((one) => one.state !== "approved")) throw new Error("not all were approved");
      break;
    }
    if (poll === POLLS) throw new Error("the page is not decided");
  }
}

console.log(told(await client.GET("/v1/worker/balance")).available);
