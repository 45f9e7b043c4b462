package ldap

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// The cache has a bound, and its answers an end.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cache[int]
		for i := range 100 {
			c.put(fmt.Sprint(i), i, nil, time.Minute, 10)
			if n := len(c.now) + len(c.then); n > 10 {
				t.Fatalf("%d answers are kept", n)
			}
		}
		if a, ok := c.get("99"); !ok || a.value != 99 {
			t.Errorf("the last answer: %v, %v", a, ok)
		}
		if _, ok := c.get("1"); ok {
			t.Error("an old answer is kept")
		}
		time.Sleep(time.Minute)
		if _, ok := c.get("99"); ok {
			t.Error("an answer is used after its end")
		}
		c.put("x", 1, nil, -1, 0)
		if _, ok := c.get("x"); ok {
			t.Error("an answer is kept with a negative TTL")
		}
		c.put("y", 1, nil, 0, 1)
		c.put("z", 1, nil, 0, 1)
		time.Sleep(defaultTTL - 1)
		if _, ok := c.get("z"); !ok || len(c.now) != 1 {
			t.Error("an answer is not kept for the default TTL")
		}
	})
}
