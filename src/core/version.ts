/** That of package.json: a test compares them. Read from there it would not survive a bundler. */
export const VERSION = "0.1.0";
