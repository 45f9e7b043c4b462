// Package mtasts finds, keeps and applies MTA-STS policies (RFC 8461): a
// domain's word, published over HTTPS, that its mail must go to certain hosts
// under TLS with good certificates.
//
//	cache := &mtasts.Cache{LookupTXT: resolver.LookupTXT, Dir: "/var/lib/relay/mta-sts"}
//	go cache.Run(ctx) // refreshes policies once a day
//	transport.MTASTS = cache
package mtasts
