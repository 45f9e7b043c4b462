// Package dane verifies certificates against TLSA records, as RFC 7672 has it
// for mail (and RFC 6698 and 7671 in general). It looks nothing up: who calls
// it brings the records, and answers for DNSSEC.
//
//	answer := &dane.Answer{
//		Records: []dane.Record{{Usage: dane.EE, Selector: 1, Matching: 1, Data: sum}},
//		Names:   []string{"mx.example.net"},
//	}
//	config := &tls.Config{
//		ServerName:         answer.Names[0],
//		InsecureSkipVerify: true, // the records vouch instead
//		VerifyConnection: func(s tls.ConnectionState) error {
//			return answer.Verify(s.PeerCertificates, time.Now())
//		},
//	}
package dane
