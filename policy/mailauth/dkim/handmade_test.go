package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/internal/taglist"
)

// handmade signs a message with the given tags. It adds d=, s=, bh= and b= if they
// are missing. It follows RFC 6376, 3.4 and 3.7 without go-msgauth, and so checks
// that library too.
func handmade(t testing.TB, key Key, tags, message string) string {
	t.Helper()
	list, err := taglist.Parse(tags)
	if err != nil {
		t.Fatal(err)
	}
	add := func(name, value string) {
		if _, found := list.Get(name); !found {
			tags = name + "=" + value + "; " + tags
		}
	}
	add("d", key.Domain)
	add("s", key.Selector)
	if _, ed := key.Private.Public().(ed25519.PublicKey); ed {
		add("a", "ed25519-sha256")
	} else {
		add("a", "rsa-sha256")
	}
	add("v", "1")
	headerForm, bodyForm, _ := strings.Cut(list.Value("c"), "/")
	_, body, _ := strings.Cut(message, "\r\n\r\n")
	bh := sha256.Sum256([]byte(canonicalBody(bodyForm, body)))
	add("bh", base64.StdEncoding.EncodeToString(bh[:]))
	field := "DKIM-Signature: " + tags + "; b="
	sum, opts := headerSum(headerForm, strings.Split(list.Value("h"), ":"), field, message), crypto.SignerOpts(crypto.SHA256)
	if _, ed := key.Private.Public().(ed25519.PublicKey); ed {
		opts = crypto.Hash(0)
	}
	sig, err := key.Private.Sign(rand.Reader, sum, opts)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s%s\r\n%s", field, base64.StdEncoding.EncodeToString(sig), message)
}

// headerSum returns the hash to sign of a header, with a field that ends in b=.
func headerSum(form string, names []string, field, message string) []byte {
	header, _, _ := strings.Cut(message, "\r\n\r\n")
	left := strings.Split(regexp.MustCompile(`\r\n([^ \t])`).ReplaceAllString(header+"\r\n", "\r\n\x00$1"), "\x00")
	var signed strings.Builder
	for _, name := range names {
		for i := len(left) - 1; i >= 0; i-- {
			if n, _, _ := strings.Cut(left[i], ":"); strings.EqualFold(strings.TrimSpace(n), strings.TrimSpace(name)) {
				signed.WriteString(canonicalField(form, left[i]))
				left = append(left[:i:i], left[i+1:]...)
				break
			}
		}
	}
	signed.WriteString(strings.TrimSuffix(canonicalField(form, field+"\r\n"), "\r\n"))
	sum := sha256.Sum256([]byte(signed.String()))
	return sum[:]
}

func canonicalField(form, field string) string {
	if form != "relaxed" {
		return field
	}
	name, value, _ := strings.Cut(field, ":")
	value = strings.ReplaceAll(value, "\r\n", "")
	value = regexp.MustCompile(`[ \t]+`).ReplaceAllString(value, " ")
	return strings.ToLower(strings.TrimRight(name, " \t")) + ":" + strings.Trim(value, " ") + "\r\n"
}

func canonicalBody(form, body string) string {
	if form == "relaxed" {
		body = regexp.MustCompile(`[ \t]+`).ReplaceAllString(body, " ")
		body = regexp.MustCompile(` (\r\n|$)`).ReplaceAllString(body, "$1")
	}
	for strings.HasSuffix(body, "\r\n") {
		body = strings.TrimSuffix(body, "\r\n")
	}
	if form == "relaxed" && body == "" {
		return ""
	}
	return body + "\r\n"
}

// Valid signatures of other programs pass, in all canonical forms.
func TestHandmade(t *testing.T) {
	for algorithm, private := range algorithms {
		key := Key{Domain: "example.org", Selector: "s1", Private: private()}
		v, _ := newVerifier(t, zoneOf(t, nil, key))
		for name, message := range awkward {
			for _, form := range []string{"simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed", "relaxed"} {
				tags := "c=" + form + "; h=from:\r\n\tTo : subject: Subject:cc:received:received:x-empty"
				for _, n := range []int{1, 2} { // one after the other
					signed := message
					for range n {
						signed = handmade(t, key, tags, signed)
					}
					verdict, err := v.Verify(t.Context(), strings.NewReader(signed))
					if err != nil || len(verdict.Signatures) != n {
						t.Fatalf("%s, %s, %s: %+v, %v", algorithm, name, form, verdict, err)
					}
					for _, s := range verdict.Signatures {
						if s.Result != Pass {
							t.Errorf("%s, %s, %s, %d signatures: %s (%v)", algorithm, name, form, n, s.Result, s.Err)
						}
					}
				}
			}
		}
	}
}

// Our signatures follow the RFC: the hash of the body, and the signature over
// exactly the bytes that are sent.
func TestSignaturesFollowTheRFC(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	for name, message := range awkward {
		for _, simple := range []bool{false, true} {
			field, found := strings.CutSuffix(sign(t, &Signer{Keys: Keys(key), Simple: simple}, message), message)
			if !found || strings.Count(field, "DKIM-Signature: ") != 1 || !strings.HasSuffix(field, "\r\n") {
				t.Fatalf("%s: %q", name, field)
			}
			tags, err := taglist.Parse(strings.TrimPrefix(field, "DKIM-Signature: "))
			if err != nil {
				t.Fatal(err)
			}
			headerForm, bodyForm, _ := strings.Cut(tags.Value("c"), "/")
			_, body, _ := strings.Cut(message, "\r\n\r\n")
			bh := sha256.Sum256([]byte(canonicalBody(bodyForm, body)))
			if want := base64.StdEncoding.EncodeToString(bh[:]); tags.Value("bh") != want {
				t.Errorf("%s, %s: bh=%s, want %s", name, bodyForm, tags.Value("bh"), want)
			}
			unsigned, _, _ := strings.Cut(field, " b=")
			sum := headerSum(headerForm, strings.Split(tags.Value("h"), ":"), unsigned+" b=", message)
			sig, err := base64.StdEncoding.DecodeString(taglist.Compact(tags.Value("b")))
			if err != nil || !ed25519.Verify(key.Private.Public().(ed25519.PublicKey), sum, sig) {
				t.Errorf("%s, simple %v: %q is not signed, %v", name, simple, field, err)
			}
		}
	}
}
