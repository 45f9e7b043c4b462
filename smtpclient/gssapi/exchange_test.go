package gssapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/asnAppTag"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/msgtype"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/bridgehead-mail/bridgehead/internal/gss"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testTicket returns a ticket as a KDC would issue it. The content of the encrypted
// part does not matter to the client.
func testTicket(t testing.TB) *ticket {
	t.Helper()
	key, err := newKey(etypeID.AES256_CTS_HMAC_SHA1_96)
	check(t, err)
	encrypted, err := crypto.GetEncryptedData([]byte("for the host"), key, keyusage.KDC_REP_TICKET, 1)
	check(t, err)
	return &ticket{
		cname: types.NewPrincipalName(nametype.KRB_NT_PRINCIPAL, "alice"), crealm: "EXAMPLE.NET", key: key,
		ticket: messages.Ticket{TktVNO: 5, Realm: "EXAMPLE.NET", SName: types.NewPrincipalName(nametype.KRB_NT_SRV_INST, "smtp/test.example"), EncPart: encrypted},
	}
}

// A host is what the host's side of an exchange sends; a test changes what is
// wrong in it.
type host struct {
	time     time.Time
	micros   int
	key      types.EncryptionKey // of AP-REP
	subkey   types.EncryptionKey
	offer    string
	kind     uint16
	acceptor bool
}

type encAPRepPart struct {
	CTime          time.Time           `asn1:"generalized,explicit,tag:0"`
	Cusec          int                 `asn1:"explicit,tag:1"`
	Subkey         types.EncryptionKey `asn1:"explicit,tag:2"`
	SequenceNumber int64               `asn1:"explicit,tag:3"`
}

func (h *host) apRep(t testing.TB) []byte {
	part, err := asn1.Marshal(encAPRepPart{h.time, h.micros, h.subkey, 7})
	check(t, err)
	encrypted, err := crypto.GetEncryptedData(asn1tools.AddASNAppTag(part, asnAppTag.EncAPRepPart), h.key, keyusage.AP_REP_ENCPART, 0)
	check(t, err)
	rep, err := asn1.Marshal(messages.APRep{PVNO: 5, MsgType: msgtype.KRB_AP_REP, EncPart: encrypted})
	check(t, err)
	return gss.Frame(h.kind, asn1tools.AddASNAppTag(rep, asnAppTag.APREP))
}

func (h *host) offerToken(t testing.TB) []byte {
	token, err := gss.Wrap(gss.Sender{Acceptor: h.acceptor, Subkey: true, Seq: 7}, []byte(h.offer), (&exchange{key: h.subkey}).checksum(keyusage.GSSAPI_ACCEPTOR_SEAL))
	check(t, err)
	return token
}

func TestExchange(t *testing.T) {
	other, err := newKey(etypeID.AES256_CTS_HMAC_SHA1_96)
	check(t, err)
	for _, tt := range []struct {
		name   string
		change func(*host)
		want   string // of the error; empty: the login succeeds
	}{
		{"plain", func(*host) {}, ""},
		{"more layers", func(h *host) { h.offer = "\x07\x00\xff\xff" }, ""},
		{"only other layers", func(h *host) { h.offer = "\x06\x00\xff\xff" }, "demands a security layer"},
		{"a short offer", func(h *host) { h.offer = "\x01" }, "1 octets"},
		{"our own token sent back", func(h *host) { h.acceptor = false }, "wrong side"},
		// A host that does not know the key of the service.
		{"another key", func(h *host) { h.key = other }, "does not know the key"},
		{"the answer to another login", func(h *host) { h.time = h.time.Add(-time.Second) }, "another authenticator"},
		{"other microseconds", func(h *host) { h.micros ^= 1 }, "another authenticator"},
		{"AP-REQ", func(h *host) { h.kind = gss.APReq }, "kind 0x0100"},
		{"an error", func(h *host) { h.kind = gss.Failed }, "malformed error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := &exchange{ticket: testTicket(t), authzid: "bob"}
			_, token, err := x.Start()
			check(t, err)
			if kind, _, err := gss.Unframe(token); err != nil || kind != gss.APReq {
				t.Fatalf("kind %#x, %v", kind, err)
			}
			subkey, err := newKey(etypeID.AES256_CTS_HMAC_SHA1_96)
			check(t, err)
			h := &host{time: x.auth.CTime, micros: x.auth.Cusec, key: x.ticket.key, subkey: subkey, offer: "\x01\x00\x00\x00", kind: gss.APRep, acceptor: true}
			tt.change(h)
			if x.Done() == nil {
				t.Error("done before the first challenge")
			}
			response, err := x.Next(h.apRep(t))
			if err == nil {
				if x.Done() == nil || len(response) > 0 {
					t.Errorf("done before the offer, or response %q", response)
				}
				response, err = x.Next(h.offerToken(t))
			}
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				return
			}
			check(t, err)
			check(t, x.Done())
			choice, err := gss.Unwrap(response, false, x.checksum(keyusage.GSSAPI_INITIATOR_SEAL))
			if err != nil || string(choice) != "\x01\x00\x00\x00bob" {
				t.Errorf("choice %q, %v", choice, err)
			}
			if _, err := x.Next(nil); err == nil {
				t.Error("no error for a third challenge")
			}
		})
	}
}

func TestHostReportsError(t *testing.T) {
	x := &exchange{ticket: testTicket(t)}
	_, _, err := x.Start()
	check(t, err)
	e := messages.NewKRBError(x.ticket.ticket.SName, "EXAMPLE.NET", 37, "clock skew too great")
	b, err := e.Marshal()
	check(t, err)
	if _, err := x.Next(gss.Frame(gss.Failed, b)); err == nil || !strings.Contains(err.Error(), "the host reports") || !strings.Contains(err.Error(), "clock skew") {
		t.Error(err)
	}
}

// All sessions wait for one request. A ticket is used for five minutes, a failure
// for none.
func TestTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int32
		fail := errors.New("no KDC")
		a := &Auth{Principal: "alice", Password: "wonderland"}
		a.request = func(service string) (*ticket, error) {
			requests.Add(1)
			time.Sleep(time.Second)
			if service == "smtp/down.example" {
				return nil, fail
			}
			return new(ticket), nil
		}
		start := func(ctx context.Context, host string) error {
			_, err := a.Start(ctx, host, []string{"PLAIN", mechanism}, new(tls.ConnectionState))
			return err
		}
		results := make(chan error)
		for range 10 {
			go func() { results <- start(t.Context(), "Test.Example.") }()
		}
		for range 10 {
			check(t, <-results)
		}
		time.Sleep(reuse - 2*time.Second)
		check(t, start(t.Context(), "test.example"))
		if n := requests.Load(); n != 1 {
			t.Errorf("%d requests", n)
		}
		time.Sleep(2 * time.Second)
		check(t, start(t.Context(), "test.example"))
		if n := requests.Load(); n != 2 {
			t.Errorf("%d requests after %v", n, reuse)
		}
		for range 2 {
			if err := start(t.Context(), "down.example"); !errors.Is(err, fail) {
				t.Error(err)
			}
		}
		if n := requests.Load(); n != 4 {
			t.Errorf("%d requests with two failures", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := start(ctx, "slow.example"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Minute) // the request in the background ends
	})
}

func TestStartRefuses(t *testing.T) {
	good := func() *Auth { return &Auth{Principal: "alice", Password: "wonderland", Config: "/absent"} }
	for _, tt := range []struct {
		host string
		auth *Auth
		tls  bool
		want string
	}{
		{"test.example", good(), false, "needs TLS"},
		{"192.0.2.1", good(), true, "set Service"},
		{"", good(), true, "set Service"},
		{"test.example", good(), true, "configuration of Kerberos"},
		{"test.example", &Auth{}, true, "without Principal"},
		{"test.example", &Auth{Principal: "alice"}, true, "without KeytabFile and Password"},
		{"test.example", &Auth{Principal: "alice", KeytabFile: "x", Password: "x"}, true, "only one"},
		{"test.example", &Auth{Principal: "alice", Password: "x", Service: "smtp"}, true, "smtp/HOST"},
	} {
		var state *tls.ConnectionState
		if tt.tls {
			state = new(tls.ConnectionState)
		}
		if c, err := tt.auth.Start(t.Context(), tt.host, []string{mechanism}, state); err == nil || c != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
	if c, err := good().Start(t.Context(), "test.example", []string{"PLAIN", "NTLM"}, new(tls.ConnectionState)); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
	tr := smtpclient.Transport{Hostname: "relay.example", Auth: &Auth{Principal: "alice"}}
	if err := tr.Validate(); err == nil || !strings.Contains(err.Error(), "without KeytabFile") {
		t.Error(err)
	}
}

func FuzzChallenge(f *testing.F) {
	h := &host{key: testTicket(f).key, subkey: testTicket(f).key, kind: gss.APRep, acceptor: true, offer: "\x01\x00\x00\x00"}
	f.Add(h.apRep(f))
	f.Add(h.offerToken(f))
	f.Fuzz(func(t *testing.T, challenge []byte) {
		x := &exchange{ticket: testTicket(t)}
		if _, _, err := x.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Next(challenge); err == nil {
			t.Error("accepted an answer without knowledge of the key")
		}
		x.key = bytesKey
		if _, err := x.choose(challenge); err == nil {
			t.Error("accepted an offer without knowledge of the key")
		}
	})
}

var bytesKey = types.EncryptionKey{KeyType: etypeID.AES256_CTS_HMAC_SHA1_96, KeyValue: bytes.Repeat([]byte{1}, 32)}
