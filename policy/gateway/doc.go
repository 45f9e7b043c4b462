// Package gateway runs a relay: its receive connectors, its queue, and its
// other tasks. It shuts the relay down without losing a message.
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
// [Main] does the work of the last three lines in the main function of a
// program.
//
// # Settings
//
// Hostname, Logger and Resolver are set once, on the Gateway. Each part of the
// relay that has no value of its own gets that of the Gateway before anything
// runs: servers, agents, queue, store, router, transports, logs, and other
// [Inheritor]s in Parts. Accepted domains are set once too, with the destination
// of their mail: see policy.Destinations.
//
// [Gateway.Validate] checks all settings together and names each one that
// cannot work or contradicts another. Run calls it before it opens a socket.
// [Gateway.Check] also queries the DNS and the smart hosts. The channel of
// [Gateway.Ready] is closed when the relay runs.
//
// # Shutdown
//
// When the context of [Gateway.Run] ends, the relay accepts no more connections.
// Each session finishes the message that it is receiving. Then the queue finishes
// its attempts. Then the Closers are closed, in the order given.
//
// Sessions and attempts that are not finished within Gateway.Grace are
// canceled. No message is lost: a client that has not received 250 sends the
// message again, and a message stays in the store of the queue if its attempt
// was canceled. If a task, an agent or a delivery still runs one second later,
// Run does not wait for it and returns an error.
//
// # Memory
//
// In a container with a memory limit, or with GOMEMLIMIT, the default limits of
// the servers and of the queue are calculated from the memory limit: see
// Gateway.MemoryLimit. A relay that gets more mail than it has memory for
// refuses it with 4xx, and its clients try again. The kernel does not kill it.
//
// # Health
//
// [Gateway.Healthz] and [Gateway.Readyz] are HTTP handlers for a process manager or a
// load balancer. Readyz fails when the relay cannot accept mail, and says why.
// [Gateway.Health] is the same for the program itself.
//
// # Receive connectors on one socket
//
// Listeners with the same Address share the socket, if they have different
// [Listener.RemoteNetworks]: the Server of each client is selected by its address.
//
// # Change while it runs
//
// [Listener.Replace] gives a listener another server, with other agents,
// certificates or limits, while the relay runs. No connection is refused during
// the change. Existing sessions continue with the old server for ten minutes.
// To change the send connectors, use routing.Router.SetTable.
package gateway
