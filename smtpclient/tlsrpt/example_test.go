package tlsrpt_test

import (
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
)

// Count sessions and write one report for each domain.
func ExampleCollector() {
	collector := &tlsrpt.Collector{Organization: "Example Relay", Contact: "postmaster@relay.example"}
	policy := tlsrpt.Policy{Type: tlsrpt.STS, Strings: []string{"version: STSv1", "mode: enforce"}, MXHosts: []string{"mx.example.net"}}
	collector.Record(tlsrpt.Session{Domain: "example.net", Policy: policy, MXHost: "mx.example.net"})
	collector.Record(tlsrpt.Session{Domain: "example.net", Policy: policy, MXHost: "mx.example.net", Result: tlsrpt.CertificateExpired})

	for _, report := range collector.Take(time.Now()) {
		for _, p := range report.Policies {
			fmt.Println(report.Domain, p.Policy.Type, p.Summary.Successful, "good,", p.Summary.Failed, "failed:", p.Failures[0].ResultType)
		}
	}
	// Output:
	// example.net sts 1 good, 1 failed: certificate-expired
}
