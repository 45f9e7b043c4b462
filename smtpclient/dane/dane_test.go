package dane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

// chain is a certificate for a name, an intermediate and a root. The host sends
// all three.
type chain struct {
	leaf, middle, root *x509.Certificate
	key                *ecdsa.PrivateKey // of the leaf
}

func (c chain) shown() []*x509.Certificate { return []*x509.Certificate{c.leaf, c.middle, c.root} }

// dnsNames are the DNS names of the leaf; default: its name.
func newChain(t testing.TB, name string, until time.Time, dnsNames ...string) chain {
	t.Helper()
	if dnsNames == nil {
		dnsNames = []string{name}
	}
	var c chain
	var parent *x509.Certificate
	var signer *ecdsa.PrivateKey
	for i, subject := range []string{"root", "middle", name} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: subject},
			NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			IsCA: i < 2, BasicConstraintsValid: true,
		}
		if i == 2 {
			template.DNSNames, template.NotAfter = dnsNames, until
		}
		if parent == nil {
			parent, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		*[]**x509.Certificate{&c.root, &c.middle, &c.leaf}[i] = cert
		parent, signer = cert, key
	}
	c.key = signer
	return c
}

// noNames makes newChain leave out the DNS names.
var noNames = []string{}

// record makes the TLSA record of a certificate.
func record(usage, selector, matching uint8, cert *x509.Certificate) Record {
	data := cert.Raw
	if selector == 1 {
		data = cert.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return Record{usage, selector, matching, data}
}

func TestVerify(t *testing.T) {
	const name = "mx.example.net"
	now := time.Now()
	good := newChain(t, name, now.Add(time.Hour))
	old := newChain(t, name, now.Add(-time.Hour))
	other := newChain(t, "other.example", now.Add(time.Hour))
	onlyCN := newChain(t, name, now.Add(time.Hour), noNames...)
	wildCN := newChain(t, "*.example.net", now.Add(time.Hour), noNames...)
	strangeCN := newChain(t, "other.example", now.Add(time.Hour), noNames...)
	both := newChain(t, name, now.Add(time.Hour), "other.example")
	names := []string{name + ".", "example.net"}

	for usage, cert := range map[uint8]*x509.Certificate{EE: good.leaf, TA: good.root} {
		for selector := range uint8(2) {
			for matching := range uint8(3) {
				r := record(usage, selector, matching, cert)
				a := &Answer{Records: []Record{r}, Names: names}
				if err := a.Verify(good.shown(), now); err != nil {
					t.Errorf("%d %d %d: %v", usage, selector, matching, err)
				}
				if err := a.Verify(other.shown(), now); !errors.Is(err, ErrNoMatch) && !(usage == TA && selector == 0 && matching == 0 && err != nil) {
					t.Errorf("%d %d %d on another chain: %v", usage, selector, matching, err)
				}
			}
		}
	}
	for _, tt := range []struct {
		name    string
		records []Record
		shown   []*x509.Certificate
		names   []string
		want    string // empty: good
	}{
		{"an intermediate as anchor", []Record{record(TA, 1, 1, good.middle)}, good.shown(), names, ""},
		{"the anchor is not shown, but in the record", []Record{record(TA, 0, 0, good.root)}, good.shown()[:2], names, ""},
		{"the anchor is not shown", []Record{record(TA, 0, 1, good.root)}, good.shown()[:2], names, "no TLSA record matches"},
		{"the next-hop domain as name", []Record{record(TA, 1, 1, other.root)}, other.shown(), []string{"mx.example.net", "other.example"}, ""},
		{"EE: neither name nor date count", []Record{record(EE, 1, 1, old.leaf)}, old.shown(), nil, ""},
		{"TA: the date counts", []Record{record(TA, 1, 1, old.root)}, old.shown(), names, "expired"},
		{"TA: the name counts", []Record{record(TA, 1, 1, other.root)}, other.shown(), names, "not mx.example.net"},
		{"TA: no name to check", []Record{record(TA, 1, 1, good.root)}, good.shown(), nil, "no name"},
		{"TA that is the leaf", []Record{record(TA, 1, 1, good.leaf)}, good.shown(), names, "no TLSA record matches"},
		{"EE that is the root", []Record{record(EE, 1, 1, good.root)}, good.shown(), names, "no TLSA record matches"},
		{"a chain that does not hold", []Record{record(TA, 1, 1, other.root)}, []*x509.Certificate{good.leaf, other.root}, names, "signed by unknown authority"},
		{"one of several", []Record{record(EE, 1, 1, other.leaf), record(TA, 1, 1, other.root), record(EE, 0, 2, good.leaf)}, good.shown(), names, ""},
		{"TA: the common name, without DNS names", []Record{record(TA, 0, 1, onlyCN.root)}, onlyCN.shown(), names, ""},
		{"TA: the common name with a wildcard", []Record{record(TA, 0, 1, wildCN.root)}, wildCN.shown(), names, ""},
		{"TA: another common name", []Record{record(TA, 0, 1, strangeCN.root)}, strangeCN.shown(), names, "not mx.example.net"},
		{"TA: the common name does not count beside DNS names", []Record{record(TA, 0, 1, both.root)}, both.shown(), names, "not mx.example.net"},
		{"TA: the key of an anchor that is not shown", []Record{record(TA, 1, 0, good.root)}, good.shown()[:2], names, ""},
		{"TA: another key", []Record{record(TA, 1, 0, other.root)}, good.shown()[:2], names, "no TLSA record matches"},
		{"TA: the key of an anchor that is not shown, and the wrong name", []Record{record(TA, 1, 0, other.root)}, other.shown()[:2], names, "not mx.example.net"},
		{"TA: the key of an anchor that is not shown, and the wrong date", []Record{record(TA, 1, 0, old.root)}, old.shown()[:2], names, "expired"},
		{"the strongest digest counts", []Record{record(EE, 1, 1, good.leaf), record(EE, 1, 2, other.leaf)}, good.shown(), names, "no TLSA record matches"},
		{"the strongest digest matches", []Record{record(EE, 1, 2, good.leaf), record(EE, 1, 1, other.leaf)}, good.shown(), names, ""},
		{"digests of another selector", []Record{record(EE, 1, 1, good.leaf), record(EE, 0, 2, other.leaf)}, good.shown(), names, ""},
		{"digests of another usage", []Record{record(EE, 1, 1, good.leaf), record(TA, 1, 2, other.root)}, good.shown(), names, ""},
		{"a whole key beside a stronger digest", []Record{record(EE, 1, 0, good.leaf), record(EE, 1, 2, other.leaf)}, good.shown(), names, ""},
		{"a digest beside a whole key", []Record{record(EE, 1, 1, good.leaf), record(EE, 1, 0, other.leaf)}, good.shown(), names, ""},
		{"a stronger digest that is not usable", []Record{record(EE, 1, 1, good.leaf), {EE, 1, 2, []byte("short")}}, good.shown(), names, ""},
		{"PKIX usages do not count", []Record{record(PKIXEE, 1, 1, good.leaf), record(PKIXTA, 1, 1, good.root)}, good.shown(), names, "no usable"},
		{"no certificate", []Record{record(EE, 1, 1, good.leaf)}, nil, names, "sent no certificate"},
		{"no records", nil, good.shown(), names, "no usable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := (&Answer{Records: tt.records, Names: tt.names}).Verify(tt.shown, now)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestUsable(t *testing.T) {
	cert := newChain(t, "x.example", time.Now().Add(time.Hour)).leaf
	sum := make([]byte, 32)
	for _, r := range []Record{
		{4, 1, 1, sum}, {EE, 2, 1, sum}, {EE, 1, 3, sum}, {EE, 1, 1, sum[:31]}, {EE, 1, 2, sum}, {EE, 0, 0, sum}, {EE, 1, 0, cert.Raw},
		{EE, 1, 1, nil}, {PKIXTA, 1, 1, sum}, {PKIXEE, 1, 1, sum}, {255, 255, 255, sum},
	} {
		if r.Usable() {
			t.Errorf("%s is usable", r)
		}
	}
	if got := record(EE, 1, 1, cert).String(); !strings.HasPrefix(got, "3 1 1 ") || len(got) != 6+64 {
		t.Errorf("%s", got)
	}
}

// For any record, Verify does not panic, and it returns nil only for a match.
func FuzzVerify(f *testing.F) {
	c := newChain(f, "x.example", time.Now().Add(time.Hour))
	r := record(EE, 1, 1, c.leaf)
	f.Add(r.Usage, r.Selector, r.Matching, r.Data)
	f.Add(uint8(2), uint8(0), uint8(0), c.root.Raw)
	f.Add(uint8(3), uint8(1), uint8(0), c.leaf.RawSubjectPublicKeyInfo)
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data []byte) {
		r := Record{usage, selector, matching, data}
		a := &Answer{Records: []Record{r}, Names: []string{"x.example"}}
		if err := a.Verify(c.shown(), time.Now()); err == nil && !(r.matches(c.leaf) || r.matches(c.middle) || r.matches(c.root)) {
			t.Fatalf("%s authenticates another certificate", r)
		}
	})
}
