// Package pipetrace is pipeline tracing: it keeps what a message looks like
// before an event and after each agent, so that one can see which agent did
// what to it.
//
//	tracer := &pipetrace.Tracer{Dir: "/var/log/relay/PipelineTracing", Sender: "david@example.com"}
//	srv.Agents = tracer.Wrap(srv.Agents)
//	q.Hooks = tracer.WrapHooks(q.Hooks)
//	router.Routed = tracer.WrapRouted("my routing", router.Routed) // where it has one
//
// Each message of that sender gets a folder of its own, named for its ID,
// below MessageSnapshots in Dir:
//
//	Original.eml         as it came
//	SmtpReceive0001.eml  before the first agent at the end of the header, after
//	SmtpReceive0002.eml  each agent there, and the same at the end of data
//	Routing0001.eml      likewise for the hooks of the queue and the router
//
// Each file begins with fields that say what it is, and goes on with the
// message:
//
//	X-CreatedBy: MessageSnapshot-Begin injected headers
//	X-MessageSnapshot-UTC-Time: 2006-07-31T23:18:55.972Z
//	X-MessageSnapshot-Protocol-Id: 08C87FF14CCC969C;2006-07-31T23:18:53.408Z;1
//	X-MessageSnapshot-Source: OnEndOfHeaders,Connection Filtering Agent
//	X-Sender: david@example.com
//	X-Receiver: chris@example.net
//	X-EndOfInjectedXHeaders: MessageSnapshot-End injected headers
//
// Protocol-Id is the session's ID, its beginning, and the number of the
// message in it. Where Source names no agent but Original, the snapshot is
// the one before the event. An event without agents has no snapshots.
//
// At the end of the header there is no body yet, and none in the snapshots.
//
// Snapshots are whole messages of other people: the folders and files are for
// their owner alone, one sender is traced at a time, and tracing ends by
// itself, after a time, a number of messages or an amount of data. It never
// holds up or changes mail: what cannot be written is told to the log.
package pipetrace
