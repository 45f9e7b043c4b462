package gss

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sum(data []byte) ([]byte, error) {
	h := hmac.New(sha256.New, []byte("key"))
	h.Write(data)
	return h.Sum(nil)[:12], nil
}

func TestFrame(t *testing.T) {
	got := hex.EncodeToString(Frame(APReq, []byte("ticket")))
	if want := "6013" + "06092a864886f712010202" + "0100" + hex.EncodeToString([]byte("ticket")); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, n := range []int{0, 1, 113, 114, 115, 127, 128, 242, 243, 255, 256, 65535, 65536, 100_000} {
		message := bytes.Repeat([]byte{'m'}, n)
		kind, inner, err := Unframe(Frame(APRep, message))
		if err != nil || kind != APRep || !bytes.Equal(inner, message) {
			t.Errorf("%d octets: kind %#x, %d octets, %v", n, kind, len(inner), err)
		}
	}
}

func TestUnframeRefuses(t *testing.T) {
	good := Frame(APReq, []byte("ticket"))
	for name, token := range map[string][]byte{
		"empty": nil, "one octet": good[:1], "cut": good[:len(good)-1], "longer": append(slices.Clone(good), 0),
		"wrong tag": append([]byte{0x61}, good[1:]...), "no length": {application0, 0x80}, "length of 4 octets": {application0, 0x84, 0, 0, 0, 0},
		"length without octets": {application0, 0x82, 1}, "no kind": append([]byte{application0, byte(len(mechanism))}, mechanism...),
		"SPNEGO": {application0, 0x08, 0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02},
	} {
		if kind, message, err := Unframe(token); err == nil {
			t.Errorf("%s: kind %#x, message %q", name, kind, message)
		}
	}
}

func TestWrap(t *testing.T) {
	payload := []byte{1, 0, 0, 0, 'a', 'l', 'i', 'c', 'e'}
	for _, from := range []Sender{{}, {Acceptor: true}, {Acceptor: true, Subkey: true, Seq: 1 << 40}, {Seq: 7}} {
		token, err := Wrap(from, payload, sum)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Unwrap(token, from.Acceptor, sum)
		if err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%+v: %q, %v", from, got, err)
		}
		if _, err := Unwrap(token, !from.Acceptor, sum); err == nil {
			t.Errorf("%+v: accepted from the wrong side", from)
		}
		for _, by := range []int{1, 12, 28, len(payload) + 12, 1000} { // 12 and 28 are what Windows uses
			body := token[wrapHeader:]
			n := by % len(body)
			rotated := slices.Concat(token[:wrapHeader], body[len(body)-n:], body[:len(body)-n])
			binary.BigEndian.PutUint16(rotated[6:], uint16(by))
			if got, err := Unwrap(rotated, from.Acceptor, sum); err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%+v, rotated by %d: %q, %v", from, by, got, err)
			}
		}
		for i := range token { // except in RRC, which is not in the checksum
			changed := slices.Clone(token)
			changed[i] ^= 0x10
			if got, err := Unwrap(changed, from.Acceptor, sum); err == nil && !bytes.Equal(got, payload) {
				t.Errorf("%+v: octet %d changed: %q", from, i, got)
			}
		}
	}
}

func TestUnwrapRefuses(t *testing.T) {
	token, err := Wrap(Sender{}, []byte{1, 0, 0, 0}, sum)
	if err != nil {
		t.Fatal(err)
	}
	change := func(i int, b byte) []byte {
		c := slices.Clone(token)
		c[i] = b
		return c
	}
	for want, token := range map[string][]byte{
		"encrypted": change(2, sealed), "malformed": token[:15], "checksum": change(16, 7),
		"malformed Wrap": change(4, 0xff), // EC longer than the token
	} {
		if _, err := Unwrap(token, false, sum); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	none := func([]byte) ([]byte, error) { return nil, nil }
	if _, err := Unwrap(make([]byte, 16), false, none); err == nil {
		t.Error("accepted a token of zeros")
	}
	empty, err := Wrap(Sender{}, nil, none)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Unwrap(empty, false, none); err == nil {
		t.Error("accepted a token without a checksum")
	}
}

func FuzzUnframe(f *testing.F) {
	f.Add(Frame(APReq, []byte("ticket")))
	f.Add(Frame(APRep, bytes.Repeat([]byte{1}, 300)))
	f.Add([]byte{application0, 0x82, 1})
	f.Fuzz(func(t *testing.T, token []byte) {
		kind, message, err := Unframe(token)
		if err != nil {
			return
		}
		if k, m, err := Unframe(Frame(kind, message)); err != nil || k != kind || !bytes.Equal(m, message) {
			t.Errorf("%x: framed again: %v", token, err)
		}
	})
}

func FuzzUnwrap(f *testing.F) {
	for _, payload := range []string{"", "\x01\x00\x00\x00", "\x01\x00\x00\x00alice"} {
		token, err := Wrap(Sender{Acceptor: true}, []byte(payload), sum)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token []byte) {
		// The checksum has a key, so only Wrap makes a token that Unwrap accepts.
		any := func([]byte) ([]byte, error) { return token[max(0, len(token)-12):], nil }
		if payload, err := Unwrap(token, true, any); err == nil && len(payload) > len(token) {
			t.Errorf("payload of %d octets from %d", len(payload), len(token))
		}
	})
}
