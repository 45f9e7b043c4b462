package smtpclient

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
)

// scopedCache is a cache of TLS sessions with separate keys for each host and
// policy. The keys of crypto/tls are only server names.
type scopedCache struct {
	cache tls.ClientSessionCache
	scope string
}

func (c scopedCache) Get(key string) (*tls.ClientSessionState, bool) {
	return c.cache.Get(c.scope + key)
}

func (c scopedCache) Put(key string, s *tls.ClientSessionState) { c.cache.Put(c.scope+key, s) }

// sessionScope identifies a host, the policy that applies to it, and the client
// certificates: a resumed session keeps the client certificate of the first one.
func (t *Transport) sessionScope(dst *Destination, tg *target, s *security) string {
	scope := fmt.Sprintf("%+v %s %t %q %s ", t.policy(dst), s.policy, s.old, tg.host.Name, tg.addr)
	if t.TLSConfig != nil {
		for _, cert := range t.TLSConfig.Certificates {
			for _, der := range cert.Certificate {
				scope += fmt.Sprintf("%x ", sha256.Sum256(der))
			}
		}
	}
	return scope
}

// tlsSessions returns the default cache.
func (t *Transport) tlsSessions() tls.ClientSessionCache {
	t.tlsOnce.Do(func() { t.tlsCache = tls.NewLRUClientSessionCache(1024) })
	return t.tlsCache
}
