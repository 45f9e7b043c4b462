package dane_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

// Verify a host's certificate with the TLSA record of its domain.
func ExampleAnswer_Verify() {
	block, _ := pem.Decode([]byte(certificate))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		fmt.Println(err)
		return
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	answer := &dane.Answer{
		Records: []dane.Record{{Usage: dane.EE, Selector: 1, Matching: 1, Data: sum[:]}},
		Names:   []string{"mx.example.net"},
	}
	fmt.Println(answer.Verify([]*x509.Certificate{cert}, time.Now()))

	answer.Records[0].Data[0]++ // the record of another key
	fmt.Println(answer.Verify([]*x509.Certificate{cert}, time.Now()))
	// Output:
	// <nil>
	// no TLSA record matches the certificate
}

const certificate = `-----BEGIN CERTIFICATE-----
MIIBhzCCAS2gAwIBAgIUYcK3S9605yk2VhZYF5rXZnCspCIwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwObXguZXhhbXBsZS5uZXQwHhcNMjYxMTIxMjIwODQ0WhcNMzYx
MTE4MjIwODQ0WjAZMRcwFQYDVQQDDA5teC5leGFtcGxlLm5ldDBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABBbTRcciAZbHoTDwYK/trWuT09zwyVXpvdEJV6tPcyVi
csxtC9KSGnIAxKS9nvPPpbGHJblbssyxMbMxhiUrggCjUzBRMB0GA1UdDgQWBBSk
1U+zC6tj1QxcTjdqtWjyRrgZGjAfBgNVHSMEGDAWgBSk1U+zC6tj1QxcTjdqtWjy
RrgZGjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIFppaO+UC6Pm
fInKr9itrR4qL9dlXI8baT5dSma+Uk3vAiEA86dM6uaM5jDUryORUfRv6Vc/slCr
zBq3cwIbdvUP6W0=
-----END CERTIFICATE-----
`
