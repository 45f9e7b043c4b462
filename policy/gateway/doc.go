// Package gateway runs a relay: its receive connectors, its queue, and its
// other tasks, from the first connection to a shutdown that loses nothing.
//
//	relay := &gateway.Gateway{
//		Listeners: []*gateway.Listener{{Server: srv, Address: ":25"}},
//		Queue:     q,
//		Closers:   []io.Closer{router, store},
//	}
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer stop()
//	err := relay.Run(ctx)
//
// [Main] does the last three lines for a command.
//
// # Shutdown
//
// When the context of [Gateway.Run] ends, the relay accepts no more connections.
// Each session finishes the message that it is receiving. Then the queue finishes
// its attempts. Then the Closers are closed, in the order given.
//
// What is not finished within Gateway.Grace is broken off. No message is lost: a
// client that has not read 250 sends again, and a message whose attempt was
// broken off stays in the store of the queue. Run does not wait for a task, an
// agent or a delivery that still runs one second after that, although its
// context has ended; it returns an error.
//
// # Change while it runs
//
// [Listener.Replace] gives a listener another server, with other agents,
// certificates or limits, while mail flows. Existing sessions go on as they
// began, for ten minutes, and no connection is refused meanwhile. For the send
// side, use routing.Router.SetTable.
package gateway
