// Package dane verifies certificates against TLSA records. It follows RFC 7672
// for mail, and RFC 6698 and RFC 7671 in general. It makes no DNS lookups: the
// caller provides the records and is responsible for DNSSEC.
//
//	answer := &dane.Answer{
//		Records: []dane.Record{{Usage: dane.EE, Selector: 1, Matching: 1, Data: sum}},
//		Names:   []string{"mx.example.net"},
//	}
//	config := &tls.Config{
//		ServerName:         answer.Names[0],
//		InsecureSkipVerify: true, // VerifyConnection verifies the certificate instead
//		VerifyConnection: func(s tls.ConnectionState) error {
//			return answer.Verify(s.PeerCertificates, time.Now())
//		},
//	}
package dane
