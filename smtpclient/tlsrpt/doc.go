// Package tlsrpt collects how TLS sessions with mail hosts ended, and writes
// the daily reports about it that domains ask for (RFC 8460).
//
//	collector := &tlsrpt.Collector{Organization: "Example", Contact: "postmaster@example.com"}
//	transport.TLSReport = collector.Record
//
//	// once a day, for the day that has passed:
//	for _, report := range collector.Take(time.Now()) {
//		txts, err := resolver.LookupTXT(ctx, "_smtp._tls."+report.Domain)
//		...
//		for _, uri := range tlsrpt.ParseRecord(txts) {
//			// mailto: gets report.Message, https: gets report.Post
//		}
//	}
package tlsrpt
