package dkimsig

import (
	"context"
	"fmt"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
)

// Limits of a KeyCache.
const (
	// maxKeys is the number of keys in one generation. There are two.
	maxKeys = 500
	// maxCached is the size of the records whose keys are kept. A record with an
	// RSA key of 4,096 bits has about 750 bytes.
	maxCached = 1 << 10
)

// A KeyCache looks up keys in DNS and keeps the parsed ones. It finds a key by the
// text of its record, not by its name: each lookup asks the resolver, whose cache
// follows the TTL of the record, so a changed or removed record takes effect at
// once. At most 1,000 keys are kept, those that were used last. The zero value is
// ready for use. A KeyCache is safe for concurrent use.
type KeyCache struct {
	mu         sync.Mutex // guards the maps
	young, old map[string]*PublicKey
}

// Lookup looks up the key of a selector and domain in DNS.
func (kc *KeyCache) Lookup(ctx context.Context, r resolver.Resolver, selector, domain string) (*PublicKey, error) {
	name := selector + "._domainkey." + domain
	records, err := lookup.TXT(ctx, r, name)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w: %w", name, ErrTemporary, err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("key %s does not exist", name)
	}
	// Several records are an error of the domain's owner (RFC 6376, 3.6.2.2). Use
	// the first valid one.
	var first error
	for _, record := range records[:min(len(records), 5)] {
		k, err := kc.parse(record)
		if err == nil {
			return k, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, fmt.Errorf("key %s: %w", name, first)
}

// parse returns the key of a record. Keys are immutable.
func (kc *KeyCache) parse(record string) (*PublicKey, error) {
	if len(record) > maxCached {
		return ParseKey(record)
	}
	if k := kc.get(record); k != nil {
		return k, nil
	}
	k, err := ParseKey(record)
	if err == nil {
		kc.put(record, k)
	}
	return k, err
}

func (kc *KeyCache) get(record string) *PublicKey {
	kc.mu.Lock()
	defer kc.mu.Unlock()
	if k := kc.young[record]; k != nil {
		return k
	}
	k := kc.old[record]
	if k != nil {
		kc.add(record, k)
	}
	return k
}

func (kc *KeyCache) put(record string, k *PublicKey) {
	kc.mu.Lock()
	defer kc.mu.Unlock()
	kc.add(record, k)
}

// add adds a key to the young generation. If that is full, it becomes the old one.
// The caller holds mu.
func (kc *KeyCache) add(record string, k *PublicKey) {
	if kc.young == nil || len(kc.young) >= maxKeys {
		kc.old, kc.young = kc.young, make(map[string]*PublicKey)
	}
	kc.young[record] = k
}
