package console

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// maxSocketPath is the maximum length of the path of a Unix socket: unix(7).
const maxSocketPath = 107

// checkSocket checks the path of the socket and its directory. It creates
// nothing.
func checkSocket(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("the path has %d bytes, and a socket may have %d", len(path), maxSocketPath)
	}
	if err := checkPrivate(filepath.Dir(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	return nil
}

// checkPrivate returns an error if other users can access the directory: they
// could replace the socket by one of their own.
func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("the directory %s has the mode %04o: other users must have no access to it (0700)", dir, info.Mode().Perm())
	case !isOwn(info):
		return fmt.Errorf("the directory %s belongs to another user, with the ID %d", dir, info.Sys().(*syscall.Stat_t).Uid)
	}
	return nil
}

// isOwn reports whether a file belongs to the user of this process or to root.
func isOwn(info fs.FileInfo) bool {
	owner := info.Sys().(*syscall.Stat_t).Uid
	return owner == 0 || int(owner) == ownUID()
}

// listenSocket opens the socket. It replaces a socket that no process listens on.
func listenSocket(path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := checkSocket(path); err != nil {
		return nil, err
	}
	// The lock keeps two processes that start together from removing the socket
	// of each other. The process that listens keeps it.
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	l, err := replaceSocket(path)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &lockedListener{l, lock}, nil
}

func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another process listens on the socket: %s is locked", name)
		}
		return nil, err
	}
	return f, nil
}

func replaceSocket(path string) (*net.UnixListener, error) {
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		conn.Close()
		return nil, fmt.Errorf("another process listens on %s", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	// The directory is private, so no other user could connect before this.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// A lockedListener closes the lock after the socket. The file of the lock stays.
type lockedListener struct {
	*net.UnixListener
	lock *os.File
}

func (l *lockedListener) Close() error {
	err := l.UnixListener.Close()
	l.lock.Close() // a second Close has no effect
	return err
}

// peerUID returns the user ID of the process that connected.
func peerUID(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return cred.Uid, nil
}
