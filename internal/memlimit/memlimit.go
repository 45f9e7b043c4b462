// Package memlimit finds the memory limit of the container in which the process
// runs.
package memlimit

import (
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Container returns the memory limit of the process's control group in bytes: the
// smallest limit of the group and its parents. It returns 0 if there is no limit,
// and on systems without control groups. It reads the files of cgroup v1
// (memory.limit_in_bytes) and v2 (memory.max, and memory.high, beyond which the
// kernel slows the process down).
func Container() int64 { return find("/") }

// find is Container for a file system whose root is a directory.
func find(root string) int64 {
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return 0
	}
	limit := int64(0)
	v1, v2 := parseGroups(string(groups))
	for _, m := range parseMounts(string(mounts)) {
		group, files := v1, []string{"memory.limit_in_bytes"}
		if m.v2 {
			group, files = v2, []string{"memory.max", "memory.high"}
		}
		if group == "" {
			continue
		}
		for dir := m.relative(group); ; dir = path.Dir(dir) {
			for _, f := range files {
				limit = smaller(limit, readLimit(filepath.Join(root, m.point, dir, f)))
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit
}

// parseGroups parses /proc/self/cgroup (cgroups(7)). It returns the paths of the
// process's groups: of the memory controller in v1, and of v2. A path is empty if
// there is no such group.
func parseGroups(text string) (v1, v2 string) {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(f) != 3:
		case f[0] == "0" && f[1] == "":
			v2 = f[2]
		case hasItem(f[1], "memory"):
			v1 = f[2]
		}
	}
	return v1, v2
}

// A mount is a file system of control groups.
type mount struct {
	root  string // the group that is mounted
	point string // the directory where it is mounted
	v2    bool
}

// parseMounts returns the mounts of v2 and of the memory controller of v1 in
// /proc/self/mountinfo (proc_pid_mountinfo(5)).
func parseMounts(text string) (all []mount) {
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		v2 := g[0] == "cgroup2"
		if v2 || g[0] == "cgroup" && hasItem(g[2], "memory") {
			all = append(all, mount{root: unescape(f[3]), point: unescape(f[4]), v2: v2})
		}
	}
	return all
}

// relative returns the path of a group below the mount. If the group is outside
// the mount, as in some containers, the mounted group is the container's.
func (m *mount) relative(group string) string {
	root := strings.TrimSuffix(m.root, "/")
	rest, inside := strings.CutPrefix(group, root)
	if !inside || rest != "" && rest[0] != '/' || strings.Contains(rest, "/..") {
		return "/"
	}
	return path.Clean("/" + rest)
}

func hasItem(list, item string) bool {
	for s := range strings.SplitSeq(list, ",") {
		if s == item {
			return true
		}
	}
	return false
}

// unescape decodes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// readLimit returns the limit in a file, or 0 if it contains none.
func readLimit(name string) int64 {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	const none = 1 << 60 // v1 has no word for it, only a number near the largest one
	if err != nil || n <= 0 || n >= none {
		return 0
	}
	return n
}

// smaller returns the smaller of two limits, where 0 means none.
func smaller(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
