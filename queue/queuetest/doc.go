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
// Each promise is one subtest, named for it. Crash adds a test that kills a
// process that has the store open, with SIGKILL, and looks for what it had
// acknowledged.
package queuetest
