// Package peers finds the other mail programs that interoperability tests
// talk to. Nothing but tests imports it.
package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Strict is the environment variable under which a peer that is not there
// fails a test instead of skipping it.
const Strict = "BRIDGEHEAD_INTEROP"

// Dir is where peers lie that cannot be installed side by side: the folder
// named by BRIDGEHEAD_PEERS, or /var/cache/bridgehead-peers. A Debian package
// unpacked there stands in a folder of its own (exim4/usr/sbin/exim4), npm
// packages in node_modules.
func Dir() string {
	if d := os.Getenv("BRIDGEHEAD_PEERS"); d != "" {
		return d
	}
	return "/var/cache/bridgehead-peers"
}

// Need returns the path of a program. A test that needs one that is not there
// is skipped, or fails when the environment has BRIDGEHEAD_INTEROP=1.
func Need(t testing.TB, program string) string {
	t.Helper()
	path := find(program)
	if path == "" {
		missing(t, program)
	}
	t.Logf("peer: %s", path)
	return path
}

// NeedNode returns the node program and the folder for NODE_PATH in which the
// npm package lies; it skips or fails as Need does.
func NeedNode(t testing.TB, pkg string) (node, nodePath string) {
	t.Helper()
	node = Need(t, "node")
	nodePath = filepath.Join(Dir(), "node_modules")
	if _, err := os.Stat(filepath.Join(nodePath, pkg, "package.json")); err != nil {
		missing(t, "npm package "+pkg)
	}
	t.Logf("peer: %s", filepath.Join(nodePath, pkg))
	return node, nodePath
}

// NeedRoot skips a test that root must run.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("root must run this test")
	}
}

// NeedPython returns a Python 3 interpreter; it skips or fails as Need does.
func NeedPython(t testing.TB) string {
	t.Helper()
	return Need(t, "python3")
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(Strict) == "1" {
		t.Fatalf("peer missing: %s", what)
	}
	t.Skipf("peer missing: %s", what)
}

func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	candidates := []string{"/usr/sbin/" + program, "/usr/local/sbin/" + program, "/sbin/" + program}
	for _, bin := range []string{"usr/sbin", "usr/bin"} {
		unpacked, _ := filepath.Glob(filepath.Join(Dir(), "*", bin, program)) // the pattern is a constant one
		candidates = append(candidates, unpacked...)
	}
	for _, path := range candidates {
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}
