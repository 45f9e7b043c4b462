//go:build linux || darwin || freebsd

package policy

import "golang.org/x/sys/unix"

// diskUse returns the used space of the file system, as seen by users other
// than root, or the share of used inodes if that is more, in percent.
func diskUse(dir string) (float64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	use := 0.0
	if st.Blocks > 0 {
		free, avail := uint64(st.Bfree), uint64(max(st.Bavail, 0))
		used := uint64(st.Blocks) - free
		use = 100 * float64(used) / float64(max(used+avail, 1))
	}
	if st.Files > 0 {
		use = max(use, 100-100*float64(st.Ffree)/float64(st.Files))
	}
	return use, nil
}
