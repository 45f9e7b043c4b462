package console

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// A client of the socket needs no token. Its user ID is its name.
func TestSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "console")
	path := filepath.Join(dir, "socket")
	c := &Console{Address: "127.0.0.1:0", Socket: path}
	start(t, c)
	client := overSocket(path)
	defer client.CloseIdleConnections()
	get := func(at string) (int, string) {
		answer, err := client.Get("http://console" + at)
		if err != nil {
			return 0, err.Error()
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Error(err)
		}
		return answer.StatusCode, string(body)
	}
	// The socket opens after the address.
	code, body := get("/queues")
	for range 1000 {
		if code != 0 {
			break
		}
		code, body = get("/queues")
	}
	if code != 200 || !strings.Contains(body, `"queues":[]`) && !strings.Contains(body, "uid "+strconv.Itoa(os.Geteuid())+" (operator)") {
		t.Errorf("%d\n%s", code, body)
	}
	for name, want := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	// A second relay does not take the socket away.
	other := &Console{Socket: path, Gateway: &gateway.Gateway{Queue: &queue.Queue{Store: &memory.Store{}, Deliverer: deliverer{}}}}
	if err := other.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a live socket is replaced: %v", err)
	}
	if code, _ := get("/queues"); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
}

func overSocket(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
}

// A socket that no process listens on is replaced. Anything else at its path is
// an error, and so is a directory that others can access.
func TestSocketIsReplacedOnlyIfDead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "socket")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if l, err := listenSocket(path); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("%v, %v", l, err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := listenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenSocket(path); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Error(err)
	}
	os.Remove(path)
	if err := os.Symlink("/dev/null", path); err != nil {
		t.Fatal(err)
	}
	if _, err := listenSocket(path); err == nil {
		t.Error("a symbolic link is replaced")
	}
	os.Remove(path)
	for _, mode := range []os.FileMode{0o701, 0o710, 0o755, 0o777} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := listenSocket(path); err == nil || !strings.Contains(err.Error(), "0700") {
			t.Errorf("%v: %v", mode, err)
		}
	}
	if err := checkSocket("/" + strings.Repeat("x", maxSocketPath)); err == nil {
		t.Error("a path that is too long is accepted")
	}
}

// Only the user of the relay and root may use the socket.
func TestPeers(t *testing.T) {
	own := uint32(os.Geteuid())
	for _, test := range []struct {
		peer peer
		want string
	}{
		{peer{uid: own}, "uid " + strconv.Itoa(int(own))},
		{peer{uid: 0}, "uid 0"},
		{peer{uid: own + 1}, ""},
		{peer{uid: 4294967295}, ""},
		{peer{uid: own, err: os.ErrInvalid}, ""},
	} {
		a, err := test.peer.access()
		if test.want == "" && err == nil || test.want != "" && (err != nil || a.Name != test.want || a.Role != Operator) {
			t.Errorf("%+v: %+v, %v", test.peer, a, err)
		}
	}
}

// Another user can create the file first, in a folder such as /tmp. A relay of root
// does not use such a file, and a pipe does not make it wait.
func TestTokenFileOfAnotherUser(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := new(token).load(pipe); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
	name := filepath.Join(dir, "token")
	if err := new(token).load(name); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || !isOwn(info) {
		t.Errorf("our own file: %v", err)
	}
	for uid, want := range map[uint32]bool{0: true, uint32(os.Geteuid()): true, uint32(os.Geteuid()) + 1: false} {
		if got := isOwn(ownedBy{info, uid}); got != want {
			t.Errorf("user ID %d: %v", uid, got)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(name, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if err := new(token).load(name); err == nil || !strings.Contains(err.Error(), "another user") {
			t.Error(err)
		}
	}
}

// ownedBy is a file of another user.
type ownedBy struct {
	os.FileInfo
	uid uint32
}

func (o ownedBy) Sys() any { return &syscall.Stat_t{Uid: o.uid} }
