// Package house describes how the repository is built, and its tests keep it
// so: the packages and their imports, the core of the queue, the README.
//
// Mail flows through five packages in one direction:
//
//	client ─▶ smtpserver ─▶ policy ─▶ queue ─▶ routing ─▶ smtpclient ─▶ next hop
//	          SMTP          accept    durable  choose     SMTP
//	          receive       this      store,   the route  send engine
//	          engine        mail?     retry
//
// policy and routing connect their neighbors: policy imports smtpserver and
// queue, routing imports queue and smtpclient. The other three import only
// internal. examples import everything.
//
//   - smtpserver: the SMTP and LMTP receive engine. A Server is a receive
//     connector; agents get its events, a Handler gets accepted messages.
//   - policy: who may send what to whom. Below it mailauth (SPF, DKIM, DMARC,
//     ARC), filter (milter, scanners, rules), trace, and gateway, which runs a
//     complete relay.
//   - queue: Store keeps messages safe, Deliverer sends them. queue/spool is
//     the durable store, queue/queuetest is what every store must pass. The
//     scheduler's decisions are in queue/internal/sched, without clock or lock.
//   - routing: connectors, address spaces, DNS. It is the queue's Deliverer.
//   - smtpclient: the SMTP and LMTP send engine, TLS policy, connection pool.
//
// These promises decide every question of design; each is tested:
//
//  1. 250 means safe: envelope and content are on stable storage.
//  2. Every recipient is delivered, or its failure is reported or kept.
//  3. Duplicates require a crash.
//  4. The zero value of a policy relays for no one.
//  5. Content is preserved byte for byte, plus trace fields, and is sent only
//     when the next hop asked for it.
//  6. Everything has a bound, and work is linear in the size of the input.
//  7. Every message and session can be followed.
//  8. Everything can be operated while it runs.
//
// Start with examples/smarthost, the smallest useful relay, then read
// policy/gateway, and from there the package doc of each part. The terms are in
// GLOSSARY.md.
package house
