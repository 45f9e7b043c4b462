package program

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// certificate reads -cert and -key.
func (k *Kit) certificate() *tls.Config {
	if k.Cert == "" && k.Key == "" {
		return nil
	}
	if k.Cert == "" || k.Key == "" {
		setting := "cert" // the one that is set
		if k.Cert == "" {
			setting = "key"
		}
		k.Fault(setting, errors.New("-cert and -key are required together"))
		return nil
	}
	cert, key := k.ReadFile("cert", k.Cert), k.ReadFile("key", k.Key)
	if cert == nil || key == nil {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil {
		return &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	certFault, keyFault := explainPEM(cert, "CERTIFICATE", "certificate"), explainPEM(key, "PRIVATE KEY", "key")
	k.faultOfFile("cert", k.Cert, certFault)
	k.faultOfFile("key", k.Key, keyFault)
	if certFault == nil && keyFault == nil {
		k.faultOfFile("cert", k.Cert, fmt.Errorf("with -key %s: %w", k.Key, err))
	}
	return nil
}

func (k *Kit) faultOfFile(setting, path string, err error) {
	if err != nil {
		k.Fault(setting, fmt.Errorf("%s: %w", path, err))
	}
}

// explainPEM returns why a text has no PEM block of a type; nil if it has one.
func explainPEM(text []byte, ending, what string) error {
	first := "" // the type of a block that is something else
	for rest := text; ; {
		var block *pem.Block
		switch block, rest = pem.Decode(rest); {
		case block == nil && first != "":
			return fmt.Errorf("has no %s, but a block %q", what, first)
		case block == nil && bytes.HasPrefix(text, []byte{0x30}): // ASN.1: DER or PKCS #12
			return fmt.Errorf("is not in PEM: \"openssl x509\", \"openssl pkey\" or \"openssl pkcs12 -nodes\" converts it")
		case block == nil:
			return fmt.Errorf("has no %s in PEM", what)
		case strings.Contains(block.Type, "ENCRYPTED"), strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"): // RFC 7468, 11; RFC 1421, 4.6.1.1
			return errors.New("the key is encrypted; \"openssl pkey\" removes its password")
		case strings.HasSuffix(block.Type, ending):
			return nil
		case first == "":
			first = block.Type
		}
	}
}

// expired returns the time at which the certificate has expired; the zero time if it is
// valid at now, or if there is none.
func (k *Kit) expired(now time.Time) time.Time {
	if k.tls == nil {
		return time.Time{}
	}
	c := k.tls.Certificates[0]
	leaf := c.Leaf
	if leaf == nil { // GODEBUG=x509keypairleaf=0
		var err error
		if leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return time.Time{}
		}
	}
	if now.After(leaf.NotAfter) {
		return leaf.NotAfter
	}
	return time.Time{}
}
