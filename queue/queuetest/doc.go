// Package queuetest holds an implementation of queue.Store to the promises
// that the interface's documentation makes. It is for whoever writes a store:
//
//	func TestStore(t *testing.T) {
//		queuetest.Test(t, queuetest.Config{
//			Open: func(t *testing.T, dir string) queue.Store { return mystore.Open(dir) },
//			Durable: true,
//		})
//	}
//
// Each promise is one subtest, named for it. A store that is durable has more
// to show: Crash kills a process that has it open, with SIGKILL, again and
// again, and looks for what it had acknowledged.
//
//	func TestCrash(t *testing.T) { queuetest.Crash(t, config, 20) }
package queuetest
