package smtpclient

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
)

// opensslHost is a host whose TLS is a real openssl s_server with the options. The
// test implements SMTP before STARTTLS and behind s_server. The host accepts one
// message on each connection.
func opensslHost(t *testing.T, k *keyPair, options ...string) netip.AddrPort {
	bin := peers.Need(t, "openssl")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			opensslSession(t, bin, k, conn, options)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// opensslSession serves one connection.
func opensslSession(t *testing.T, bin string, k *keyPair, conn net.Conn, options []string) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	io.WriteString(conn, "220 mx\r\n")
	for {
		line, err := r.ReadString('\n')
		switch {
		case err != nil:
			return
		case strings.HasPrefix(line, "EHLO"):
			io.WriteString(conn, "250-mx\r\n250 STARTTLS\r\n")
			continue
		case strings.HasPrefix(line, "STARTTLS"):
			io.WriteString(conn, "220 go\r\n")
		default:
			takeMessage(line, r, conn) // in plain text
			return
		}
		break
	}
	addr := freeAddr(t)
	cmd := exec.Command(bin, append([]string{"s_server", "-accept", addr.String(), "-cert", k.certPEM, "-key", k.keyPEM, "-quiet", "-naccept", "1"}, options...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Error(err)
		return
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	var server net.Conn
	eventually(t, "openssl s_server", func() bool {
		server, err = net.Dial("tcp", addr.String())
		return err == nil
	})
	defer server.Close()
	go func() {
		io.Copy(server, r)
		server.Close()
	}()
	go func() {
		io.Copy(conn, server)
		conn.Close() // the handshake failed
	}()
	takeMessage("", bufio.NewReader(out), in)
}

// takeMessage is an SMTP server for one message, whose first line is read.
func takeMessage(line string, r *bufio.Reader, w io.Writer) {
	for {
		if line == "" {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
		}
		reply := "250 ok"
		switch strings.TrimSpace(line) {
		case "DATA":
			io.WriteString(w, "354 go\r\n")
			for line != ".\r\n" {
				var err error
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			reply = "250 2.0.0 taken"
		case "QUIT":
			return
		}
		io.WriteString(w, reply+"\r\n")
		line = ""
	}
}

// With a real OpenSSL that supports only old TLS, the session uses old TLS and not
// plain text; at higher levels only with the settings.
func TestOldTLSOpenSSL(t *testing.T) {
	ca := newAuthority(t, "CA")
	for _, tt := range []struct {
		name    string
		options string
		want    string
	}{
		{"TLS 1.0, RSA", "-tls1 -cipher AES128-SHA:@SECLEVEL=0", "TLS1.0 TLS_RSA_WITH_AES_128_CBC_SHA"},
		{"TLS 1.1, ECDHE", "-tls1_1 -cipher ECDHE-RSA-AES256-SHA:@SECLEVEL=0", "TLS1.1 TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"},
		{"TLS 1.2, RSA", "-tls1_2 -cipher AES256-GCM-SHA384:@SECLEVEL=0", "TLS1.2 TLS_RSA_WITH_AES_256_GCM_SHA384"},
		{"TLS 1.2, ECDHE", "-tls1_2", "TLS1.2 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
		{"TLS 1.3", "-tls1_3", "TLS1.3 TLS_AES_128_GCM_SHA256"},
	} {
		k := ca.files(t, "mx1.example.net")
		old := strings.Contains(tt.options, "SECLEVEL=0")
		for _, level := range []struct {
			policy TLSPolicy
			taken  bool
		}{
			{TLSPolicy{}, true},
			{TLSPolicy{Level: TLSEncrypt}, !old},
			{TLSPolicy{Level: TLSDomain}, !old},
			{TLSPolicy{Level: TLSDomain, AllowOld: true}, true},
		} {
			tr := &Transport{Hostname: "relay.example", TLS: level.policy, TLSConfig: ca.roots()}
			addr := opensslHost(t, k, strings.Fields(tt.options)...)
			dst := &Destination{Name: "x", Hosts: HostList(Host{Name: "mx1.example.net", Addrs: []netip.AddrPort{addr}})}
			rs := tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net"))
			tr.Close()
			switch {
			case level.taken && (rs[0].Outcome != Success || !strings.HasPrefix(rs[0].TLS, tt.want[:7]) || old && rs[0].TLS != tt.want):
				t.Errorf("%s, %+v: %s, TLS %q, want %q", tt.name, level.policy, summary(rs), rs[0].TLS, tt.want)
			case !level.taken && (rs[0].Outcome != Unreachable || rs[0].TLS != ""):
				t.Errorf("%s, %+v: %s, TLS %q, want none", tt.name, level.policy, summary(rs), rs[0].TLS)
			}
		}
	}
}

// A real OpenSSL that requires a client certificate refuses a client without one;
// with TLS 1.3 only after the client has finished the handshake.
func TestLateAlertOpenSSL(t *testing.T) {
	ca := newAuthority(t, "CA")
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		for _, level := range []TLSLevel{TLSOpportunistic, TLSEncrypt} {
			k := ca.files(t, "mx1.example.net")
			addr := opensslHost(t, k, version, "-Verify", "1", "-verify_return_error", "-CAfile", k.certPEM)
			tr := &Transport{Hostname: "relay.example", TLS: TLSPolicy{Level: level}}
			var results []string
			tr.TLSReport = func(s tlsrpt.Session) { results = append(results, s.Result) }
			dst := &Destination{Name: "x", Domain: "example.net", Hosts: HostList(Host{Name: "mx1.example.net", Addrs: []netip.AddrPort{addr}})}
			rs := tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net"))
			tr.Close()
			if taken := level == TLSOpportunistic; rs[0].TLS != "" || (rs[0].Outcome == Success) != taken {
				t.Errorf("%s, %v: %s, TLS %q", version, level, summary(rs), rs[0].TLS)
			} else if !taken && rs[0].Reply.EnhancedCode != [3]int{4, 7, 5} {
				t.Errorf("%s, %v: %s", version, level, summary(rs))
			}
			// The failure is reported to the domain; the session in plain text
			// after it is not (RFC 8460).
			if len(results) == 0 || slices.ContainsFunc(results, func(r string) bool { return r != tlsrpt.ValidationFailure }) {
				t.Errorf("%s, %v: reported %q", version, level, results)
			}
		}
	}
}
