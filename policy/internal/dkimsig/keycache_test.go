package dkimsig

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"sync"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// oneRecord is a resolver with one record for all names.
type oneRecord string

func (r oneRecord) Lookup(context.Context, string, resolver.Type) (*resolver.Answer, error) {
	return &resolver.Answer{TXT: []string{string(r)}}, nil
}

func testRecord(i int) string {
	key := make([]byte, ed25519.PublicKeySize)
	copy(key, fmt.Sprint(i))
	return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key)
}

// A key is parsed once. The resolver is asked each time, so that another record
// takes effect at once.
func TestKeyCache(t *testing.T) {
	var keys KeyCache
	lookUp := func(record string) *PublicKey {
		t.Helper()
		k, err := keys.Lookup(t.Context(), oneRecord(record), "s", "example.org")
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := lookUp(testRecord(1))
	if lookUp(testRecord(1)) != first {
		t.Error("the same record is parsed again")
	}
	if lookUp(testRecord(2)) == first || string(lookUp(testRecord(2)).Key.(ed25519.PublicKey)[:1]) != "2" {
		t.Error("another record gives the old key")
	}
	if _, err := keys.Lookup(t.Context(), oneRecord("v=DKIM1; p="), "s", "example.org"); err == nil {
		t.Error("a revoked key is returned")
	}
	for i := range 3 * maxKeys { // keys that are used stay
		lookUp(testRecord(100 + i))
		if lookUp(testRecord(1)) != first {
			t.Fatalf("the key is gone after %d others", i)
		}
		if n := len(keys.young) + len(keys.old); n > 2*maxKeys {
			t.Fatalf("%d keys", n)
		}
	}
	long := testRecord(1) + fmt.Sprintf("; n=%*d", maxCached, 0)
	if a, b := lookUp(long), lookUp(long); a == b {
		t.Error("a long record is kept")
	}
}

func TestKeyCacheConcurrently(t *testing.T) {
	var keys KeyCache
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2 * maxKeys {
				if _, err := keys.Lookup(t.Context(), oneRecord(testRecord(i*(g+1))), "s", "example.org"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
