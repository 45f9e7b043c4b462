package smtpclient

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
)

// scopedCache is a cache of TLS sessions in which each host and policy has keys
// of its own: the keys of crypto/tls are server names alone.
type scopedCache struct {
	cache tls.ClientSessionCache
	scope string
}

func (c scopedCache) Get(key string) (*tls.ClientSessionState, bool) {
	return c.cache.Get(c.scope + key)
}

func (c scopedCache) Put(key string, s *tls.ClientSessionState) { c.cache.Put(c.scope+key, s) }

// sessionScope names a host, the policy that applies to it, and the client
// certificates: a resumed session is that of the client who began it.
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

// tlsSessions is the default cache.
func (t *Transport) tlsSessions() tls.ClientSessionCache {
	t.tlsOnce.Do(func() { t.tlsCache = tls.NewLRUClientSessionCache(1024) })
	return t.tlsCache
}
