//go:build go1.26

package simulation

import (
	"testing"
	"testing/cryptotest"
)

// seedRandom makes the message IDs of the relay, which come from crypto/rand, depend on
// the seed. Before Go 1.26 that is not possible: two runs of a seed can then differ in
// the order of what happens at the same moment.
func seedRandom(t *testing.T, seed uint64) { cryptotest.SetGlobalRandom(t, seed) }
