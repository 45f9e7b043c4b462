// Package pipetrace implements pipeline tracing. It writes a snapshot of a message
// before an event and after each agent, to show how each agent changed the
// message.
//
//	tracer := &pipetrace.Tracer{Dir: "/var/log/relay/PipelineTracing", Sender: "david@example.com"}
//	srv.Agents = tracer.Wrap(srv.Agents)
//	q.Hooks = tracer.WrapHooks(q.Hooks)
//	router.Routed = tracer.WrapRouted("my routing", router.Routed) // if router.Routed is set
//
// A [Switch] starts and stops tracing while the relay runs.
//
// Each message of the sender gets its own directory. Its path is Dir,
// MessageSnapshots and the ID of the message. The directory has these files:
//
//	Original.eml         the message as received
//	SmtpReceive0001.eml  before the first agent at the end of the header
//	SmtpReceive0002.eml  after that agent; then one file after each further agent,
//	                     and the same for the end of data
//	Routing0001.eml      the same for the hooks of the queue and the router
//
// Each file begins with header fields about the snapshot. The message follows:
//
//	X-CreatedBy: MessageSnapshot-Begin injected headers
//	X-MessageSnapshot-UTC-Time: 2006-07-31T23:18:55.972Z
//	X-MessageSnapshot-Protocol-Id: 08C87FF14CCC969C;2006-07-31T23:18:53.408Z;1
//	X-MessageSnapshot-Source: OnEndOfHeaders,Connection Filtering Agent
//	X-Sender: david@example.com
//	X-Receiver: chris@example.net
//	X-EndOfInjectedXHeaders: MessageSnapshot-End injected headers
//
// Protocol-Id has the ID of the session, its start time, and the number of the
// message in the session. Source has the event and the agent. "Original" instead
// of an agent means the snapshot before the event. An event without agents has no
// snapshots.
//
// At the end of the header the body has not been received. The snapshots of this
// event have no body.
//
// Snapshots contain whole messages, which are confidential. Therefore only the
// owner of the process can read the files and directories (modes 0600 and
// 0700). A Tracer traces one sender. Tracing ends after Tracer.Duration,
// MaxMessages or MaxDir.
//
// A snapshot that cannot be written, for example because the disk is full, is
// lost. Tracing continues, and mail does not change. The first error is logged.
// When snapshots can be written again, that is logged too, with the number of
// lost snapshots, and the first snapshot after the loss has this field:
//
//	X-MessageSnapshot-Dropped: 12 snapshots before 2006-07-31T23:18:55.972Z
package pipetrace
