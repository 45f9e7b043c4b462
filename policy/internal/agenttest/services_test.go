package agenttest_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strconv"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// The services that agents ask about messages. Each reads the whole message and accepts
// it. Their time is linear.

// clamd speaks the protocol of clamd: the message comes in chunks after a command.
func clamd(t *testing.T) (addr string) {
	return peers.Serve(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		if _, err := r.ReadSlice(0); err != nil {
			return
		}
		for size := uint32(1); size != 0; {
			if binary.Read(r, binary.BigEndian, &size) != nil {
				return
			}
			if _, err := io.CopyN(io.Discard, r, int64(size)); err != nil {
				return
			}
		}
		io.WriteString(c, "stream: OK\x00")
	})
}

// spamd speaks the protocol of spamd: the message comes after a header with its length.
func spamd(t *testing.T) (addr string) {
	return peers.Serve(t, func(c net.Conn) {
		r := textproto.NewReader(bufio.NewReader(c))
		r.ReadLine()
		header, err := r.ReadMIMEHeader()
		size, _ := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
		if err != nil {
			return
		}
		io.CopyN(io.Discard, r.R, size)
		io.WriteString(c, "SPAMD/1.5 0 EX_OK\r\nContent-length: 0\r\nSpam: False ; 1.0 / 5.0\r\n\r\n")
	})
}

// hook is an HTTP service.
func hook(t *testing.T) (url string) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"action":"accept"}`)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// filter is a milter that changes nothing.
func filter(t *testing.T) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &gomilter.Server{NewMilter: func() gomilter.Milter { return gomilter.NoOpMilter{} }}
	done := make(chan struct{})
	go func() {
		srv.Serve(l)
		close(done)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return l.Addr().String()
}
