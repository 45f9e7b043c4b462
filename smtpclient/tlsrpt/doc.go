// Package tlsrpt counts successful and failed TLS sessions with mail hosts and
// writes the daily reports that domains request (RFC 8460).
//
//	collector := &tlsrpt.Collector{Organization: "Example", Contact: "postmaster@example.com"}
//	transport.TLSReport = collector.Record
//
//	// once a day, for the previous day:
//	for _, report := range collector.Take(time.Now()) {
//		txts, err := routing.LookupTXT(ctx, resolver, "_smtp._tls."+report.Domain)
//		...
//		for _, uri := range tlsrpt.ParseRecord(txts) {
//			// for a mailto: URI send report.Message, for an https: URI call report.Post
//		}
//	}
package tlsrpt
