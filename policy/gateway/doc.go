// Package gateway runs a relay: the servers that mail comes in by, the queue,
// and what goes with them, from the first connection to an end that loses
// nothing.
//
//	relay := &gateway.Gateway{
//		Doors:   []*gateway.Door{{Server: srv, Address: ":25"}},
//		Queue:   q,
//		Closers: []io.Closer{router, store},
//	}
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer stop()
//	err := relay.Run(ctx)
//
// # The end
//
// When the context of [Gateway.Run] ends, no more connections are accepted.
// Sessions finish the message in hand; then the queue finishes its attempts;
// then the rest is closed, in the order given. What could not be finished in
// the time of Gateway.Grace is broken off, and nothing of it is lost: a client
// that has not read 250 sends again, and what the queue had in hand stays in
// its store. A task, agent or delivery that does not heed its context a second
// after that is left behind, and is Run's error.
//
// # Change without an end
//
// [Door.Replace] puts another server behind a door, with other agents,
// certificates or limits, while mail flows: sessions that are there go on as
// they began, for ten minutes, and no connection is turned away in between. The
// send side has routing.Router.SetTable for the same purpose.
package gateway
