// Package queuetest tests an implementation of queue.Store against the rules in
// the documentation of that interface. An application that has its own store
// calls it from a test:
//
//	func TestStore(t *testing.T) {
//		queuetest.Test(t, queuetest.Config{
//			Open: func(t *testing.T, dir string) queue.Store { return mystore.Open(dir) },
//			Durable: true,
//		})
//	}
//
// There is one subtest for each rule, and the text of each failure begins with the
// rule. Tests of durable stores also change stored bytes, because disks do: see
// Config.Damage. With Config.OpenOn they simulate power failures. Test needs a few
// seconds for a store that syncs each call.
//
// Two of the tests compare the store with a model, with random operations. They log the seed
// of the operations. The environment variable QUEUETEST_SEED makes them use a seed again.
//
// The tests open a store again only after Close, so a store can lock its directory.
//
// Crash is for durable stores: it uses
// SIGKILL to kill a process that uses the store, opens the store, and checks
// that it has everything that was acknowledged. Crash does this several times.
//
//	func TestCrash(t *testing.T) { queuetest.Crash(t, config, 20) }
package queuetest
