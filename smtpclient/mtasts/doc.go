// Package mtasts fetches, caches and applies MTA-STS policies (RFC 8461). A
// domain publishes such a policy over HTTPS. The policy lists the domain's MX
// hosts and requires TLS with valid certificates for mail to them.
//
//	cache := &mtasts.Cache{Resolver: resolver, Dir: "/var/lib/relay/mta-sts"}
//	go cache.Run(ctx) // refreshes policies once a day
//	transport.MTASTS = cache
package mtasts
