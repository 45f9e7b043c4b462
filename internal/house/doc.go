// Package house describes the structure of the repository. Its tests check that
// the structure does not change: which packages exist and what they import, the
// core of the queue, and the programs in the README.
//
// Mail flows through five packages in one direction:
//
//	client ─▶ smtpserver ─▶ policy ─▶ queue ─▶ routing ─▶ smtpclient ─▶ next hop
//	          SMTP          accept    durable  choose     SMTP
//	          receive       this      store,   the route  send engine
//	          engine        mail?     retry
//
// policy imports smtpserver and queue. routing imports queue and smtpclient. The
// other three packages import only internal. examples import all packages.
// Helpers for tests of several packages are in internal/peers, smtptest,
// policytest, queuetest and dnstest.
//
// Most gateways in examples have a common base, examples/internal/program: settings
// as flags and as a file, logs, limits, console, reload. A gateway has only what
// differs. The other examples (customhook, embedded, quickstart, resulttable)
// assemble a relay without this base, as a program of your own does.
//
//   - smtpserver: the SMTP and LMTP receive engine. A Server is a receive
//     connector; agents get its events, a Handler gets accepted messages.
//   - policy: who may send what to whom. Below it mailauth (SPF, DKIM, DMARC,
//     ARC), filter (milter, scanners, rules), trace, and gateway, which runs a
//     complete relay.
//   - queue: Store keeps messages safe, Deliverer sends them. queue/spool is
//     the durable store. Every store must pass the tests in queue/queuetest.
//     queue/internal/sched makes the decisions of the scheduler; it uses no
//     clock and no lock.
//   - routing: connectors, address spaces, DNS. It is the queue's Deliverer.
//   - smtpclient: the SMTP and LMTP send engine, TLS policy, connection pool.
//
// The design follows these promises. Tests check each of them:
//
//  1. 250 means safe: envelope and content are on stable storage.
//  2. Every recipient is delivered, or its failure is reported, or its message
//     is kept for the operator.
//  3. Duplicates require a crash.
//  4. The zero value of a policy relays for no one.
//  5. Content is preserved byte for byte; only trace fields are added. It is
//     sent only after the next hop has replied 354 to DATA, or, if it is binary,
//     has accepted a first chunk.
//  6. Everything has a bound, and work is linear in the size of the input.
//  7. The logs show what happened to every message and in every session.
//  8. An operator can manage every part of a relay while it runs.
//
// Start with the program in README.md, which needs only the library. The smallest
// gateway is examples/perimeter; read examples/internal/program with it. Then read
// policy/gateway, and from there the package doc of each part. The terms are in
// GLOSSARY.md.
package house
